//! Virtio 1.2 devices behind memory-mapped registers.
//!
//! ```text
//! Mmio (registers, vCPU threads) -- Signals -- a Device (its own thread)
//! ```
//!
//! [`Mmio`] is the transport, for any [`Device`]: feature negotiation, queue addresses, status. When
//! the driver says DRIVER_OK, the device is given its queues and is theirs alone until a reset. The
//! two share [`Signals`]: the status and interrupt registers, which both sides change.
//!
//! A device knows guest memory, what wakes its thread ([`Device::bell`]), and how to raise an interrupt
//! ([`Interrupt`]); not KVM, which may be told of the bells by whoever has both. A [`Reactor`] is
//! that thread: it takes one step of the device after the other, and whoever holds the device's lock
//! has stopped it between two. The guest is hostile: whatever it writes into registers, rings and descriptors ends in a refused access, a
//! request that fails, or DEVICE_NEEDS_RESET.

pub mod balloon;
pub mod blk;
mod chain;
mod device;
mod features;
mod mmio;
pub mod net;
mod queue;
mod queues;
mod reactor;
pub mod rng;
mod signals;
#[cfg(test)]
pub(crate) mod test_driver;
pub mod vsock;

pub use chain::Segment;
pub use device::{Activation, Device, Reset};
pub use features::{COMMON, has};
pub use mmio::{Mmio, MmioCounts, MmioError, MmioState, QueueRegisters, REGISTERS_LEN};
pub use queue::{QueueError, SavedQueue};
pub use reactor::{Driven, Next, Reactor, ReactorError};
pub use signals::{Interrupt, Signals, SignalsState};
