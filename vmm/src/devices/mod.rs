//! What a guest reaches outside its memory.
//!
//! Devices know nothing of KVM: a [`bus::MmioBus`] brings them an offset and some bytes, and they
//! answer with what the vCPU should do next ([`bus::Flow`]). The guest is hostile: any size, any
//! offset, any order, any number of times.

pub mod bus;
mod interrupt;
pub mod mailbox;
pub mod pc;
pub mod serial;

pub use bus::{BusError, Doorbell, Flow, MmioBus, MmioDevice};
pub use interrupt::{Interrupt, Line};
pub use mailbox::{Command, Mailbox, MailboxError, MailboxState, Reply};
pub use serial::{Serial, SerialState};
