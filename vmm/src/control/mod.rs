//! Control of running guests: one request type for the library, for a socket and for the command line.
//!
//! # The parts
//!
//! A [`Session`] owns the guests of one process: a first one and its descendants, and the snapshots that
//! were kept of them. [`Session::execute`] carries out a [`Request`]; that is all that a program needs
//! which uses the library. A [`Server`] reads requests from a Unix socket, a [`Client`] sends them there,
//! and [`place`] says where the sockets of this user's processes are.
//!
//! # What goes over the socket
//!
//! A request is a line of JSON, and so is its answer; a client may send as many as it likes, and gets the
//! answers in order:
//!
//! ```text
//! {"request":"fork","id":1,"own":{"serial":"/tmp/child.log"}}
//! {"ok":{"response":"made","id":2,"parent":1,"paused":false,"pause_us":812,"transfers_in_flight":9,"requests_in_flight":11}}
//! {"request":"pause","id":7}
//! {"error":{"kind":"no-guest","id":7,"message":"there is no guest 7"}}
//! ```
//!
//! A line that is not understood gets an error as its answer, and the next one is read. One that is longer
//! than [`wire::MOST_REQUEST_BYTES`] gets an error too, and the connection ends. Clients do not wait for each
//! other: each has a thread, and where there are too many, the one that has been silent for longest is let go.
//!
//! After `{"request":"connect","id":1}` and its answer, a connection carries no more requests: it is one to
//! the vsock device of guest 1, as if it had been made to the Unix socket of `pincow run --vsock`, which the
//! guest need not have. `pincow exec` and `pincow copy` reach guests by their names that way.
//!
//! # Guests and requests
//!
//! Guests and snapshots share one sequence of numbers; the first guest is 1. The operations on one guest
//! are carried out one after the other, those on different guests side by side.
//!
//! - A paused guest stands still until it is resumed: its vCPUs are parked, and transfers that its disks had
//!   in flight end. Its clocks go on. Pausing it again, or resuming a guest that runs, changes nothing.
//! - The child of a paused guest is paused. A clone of a snapshot runs, whatever its guest did.
//! - A guest that has ended, by itself or by a request, gives its memory back and stays in the list with
//!   the reason, the newest [`session::ENDED_KEPT`] of them.
//! - Its children and snapshots are not affected by its end.
//!
//! # Locks
//!
//! ```text
//! Member::operation    one operation on a guest at a time
//!   the machine's and the memory's locks
//!   Member::life       for a moment
//! Session::state       for a moment; inside it only Member::life
//! Server: the clients  for a moment; never while a request is carried out
//! ```

mod client;
mod error;
pub mod place;
mod request;
mod response;
mod server;
pub mod session;
pub mod wire;

pub use client::{Client, ClientError};
pub use error::ControlError;
pub use request::{Card, Own, Request, Sockets};
pub use response::{
    BalloonStats, DiskStats, Frames, GuestInfo, GuestMemory, GuestState, GuestStats, How, Made,
    Process, ProcessMemory, Response, SnapshotInfo, Stopping,
};
pub use server::Server;
pub use session::{Asking, Session};
