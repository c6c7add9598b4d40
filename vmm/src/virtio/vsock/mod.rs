//! virtio-vsock (virtio 1.2, section 5.10): stream connections between programs in the guest and
//! programs on the host, without a network.
//!
//! [`VsockWorker`] moves bytes between the queues and Unix sockets of the host ([`HostSocket`]), by
//! the convention that Firecracker has made common:
//!
//! ```text
//! begun on the host     connect to PATH, write "CONNECT PORT\n"; when a program in the guest has
//!                       accepted on that port, "OK HOSTPORT\n" comes back, and then its bytes
//! begun in the guest    a connection to port P of CID 2 reaches whoever listens at PATH_P
//! ```
//!
//! What the guest says on the way is copied through a buffer of the worker, and memory of the guest is
//! touched through its window, like by a CPU: no frame of guest memory is ever pinned.
//!
//! # One step per packet
//!
//! A packet is taken from the transmit queue, acted on and answered in one step under the device's
//! lock. A receive buffer is taken only when there is a packet for it, and filled and answered in the
//! same step. So whoever stops the device ([`Vsock::park`]) finds each buffer either answered or not
//! taken, and nothing in between.
//!
//! # At a fork
//!
//! *Connections belong to the parent; in the child they are all reset.*
//!
//! ```text
//!                          parent                        child
//! connections              go on                         reset
//! taken before the cut     passed on                     answered: a part of its memory
//! available at the cut,    passed on when it goes on     answered without being looked at
//!   not taken
//! listeners in the guest   stay                          stay
//! host's socket            its own                       one of its own, or none
//! CID                      its own                       its own, or its parent's
//! ```
//!
//! The other end of a connection is a program on the host that knows nothing of the fork: it can
//! speak to one side only. The child's driver is told by VIRTIO_VSOCK_EVENT_TRANSPORT_RESET on its
//! event queue, upon which it closes what was connected and reads its CID again (section 5.10.6.7).
//! Until it has made a buffer of that queue available again, programs of the host that connect to the
//! child wait: a driver that is still about to close everything would close what is new, too. (A
//! driver without an event queue is not told and not waited for.) How many packets were available is
//! written down at the cut ([`VsockState::untaken`]), when no vCPU runs. All this holds for children
//! of children, and for clones of a snapshot.
//!
//! # The end of a connection
//!
//! A program of the host that stops writing (`shutdown`) is a SHUTDOWN of one direction, and one that
//! closes its socket is one of both. When a guest has shut down both directions, it is answered by RST
//! at once; what it had sent before still reaches the host's program, which then sees the end.
//!
//! # Bounds
//!
//! There are [`MOST_CONNECTIONS`] connections at most that were begun on each side: further ones of
//! the guest are reset, and further ones of the host wait. Of what a guest has sent, [`BUFFER_LEN`]
//! bytes per connection wait for their reader, and that much credit the guest is given; one that sends
//! more is reset. Nothing is read from the host for which the guest has not given credit and a
//! buffer. Answers to packets of no connection wait in a queue of [`MOST_REPLIES`]; while it is full, no
//! packets are taken (section 5.10.6.1). A step moves [`MOST_PACKETS`] packets in each direction.

mod cid;
mod connection;
mod connections;
mod device;
mod packet;
mod socket;
mod worker;

#[cfg(test)]
mod tests;

pub use cid::{Cid, NotACid};
pub use connection::BUFFER_LEN;
pub use connections::MOST_CONNECTIONS;
pub use device::Vsock;
pub use packet::{HEADER_LEN, HOST_CID, PAYLOAD_MAX};
pub use socket::{HostSocket, HostSocketError};
pub use worker::{
    MOST_PACKETS, MOST_REPLIES, QUEUE_SIZE, VsockCounts, VsockRestoreError, VsockState, VsockWorker,
};
