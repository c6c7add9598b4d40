//! virtio-net (virtio 1.2, section 5.1): network cards.
//!
//! [`NetWorker`] moves Ethernet frames between a pair of queues and a link ([`Frames`]), which is a
//! [`Tap`] of the host or anything else that carries frames. Frames are copied through a buffer of
//! the worker, and memory of the guest is touched through its window, like by a CPU: no frame of
//! guest memory is ever pinned. Nothing is offloaded: the host's kernel gives frames that are whole
//! and have their checksums, and takes no others.
//!
//! # One step per frame
//!
//! A frame is taken from the transmit queue, handed to the link and answered in one step under the
//! device's lock; where the link has no room for it, it is put back. A receive buffer is taken only
//! when there is a frame for it, and filled and answered in the same step. So whoever stops the
//! device ([`Net::park`]) finds each buffer either answered or not taken, and nothing in between.
//!
//! # At a fork
//!
//! *Transmit belongs to the parent, receive buffers are handed back.*
//!
//! ```text
//!                          parent                        child
//! sent before the cut      answered                      answered: a part of its memory
//! available at the cut,    sent when it goes on          answered without being sent
//!   not taken
//! receive buffers          filled with what comes from   stay available, for what comes from
//!                          its link                      the link of its own
//! frames that wait in      its own                       never seen
//!   the host
//! ```
//!
//! A frame that both sides sent would be a duplicate that no guest ever made; it may carry a request
//! that is not to be carried out twice. One that neither sends is a frame that the network has lost,
//! which every protocol is made for. So the rule is: at most once, and by the one that goes on
//! anyway. How many frames were available is written down at the cut ([`NetState::untaken`]), when no
//! vCPU runs: what the child's driver makes available later is the child's, and is sent. It holds for
//! children of children, whatever they had done of it, and for clones of a snapshot.
//!
//! # Identity
//!
//! A child has the link and the MAC address that it is given when it is made. Without a link it is
//! disconnected, and the status field says so; [`NetWorker::connect`] gives it one later. Where
//! something differs from the parent's the driver is told by an interrupt, and the configuration's
//! generation changes. Linux' driver then reads the status, but keeps the MAC address that it has:
//! that one has to be set by somebody inside (`ip link set address`), or by binding the driver again.
//!
//! # Bounds
//!
//! A step moves [`MOST_FRAMES`] frames in each direction at most. Links have queues of their own,
//! with ends: a guest without receive buffers loses what does not fit there, and costs no memory
//! here. While there are no buffers, nobody looks at the link.

mod config;
mod device;
mod frames;
mod mac;
mod tap;
mod worker;

#[cfg(test)]
mod tests;

pub use device::Net;
pub use frames::{FRAME_MAX, FRAME_MIN, Frames, Link};
pub use mac::{Mac, NotAMac};
pub use tap::{Tap, TapError};
pub use worker::{
    HEADER_LEN, MOST_FRAMES, NetCounts, NetRestoreError, NetState, NetWorker, QUEUE_SIZE,
};
