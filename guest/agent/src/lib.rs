//! The agent: a program in a Linux guest that runs commands and copies files for the host.
//!
//! It listens on [`PORT`] of vsock and serves programs of the host, each connection in a
//! [session](serve) of its own; [`client`] is the other end. This crate is both, so that they cannot
//! drift apart, and the tests run the two over a pair of sockets, without a guest.
//!
//! # A connection
//!
//! Everything is in [frames](frame): a byte that says what it is, a length of 4 bytes, little-endian,
//! and so many bytes, [`frame::MOST`] at most. Each connection begins with one request and serves it:
//!
//! ```text
//! host                                 guest
//! REQUEST {"version":1,"action":..}
//!   exec                               REPLY started, or error
//!   DATA .. (standard input)           STDOUT .., STDERR ..
//!   DATA, empty: its end               REPLY exited or killed: after the last of them
//!   write: DATA .., then empty         REPLY written, when the file is in its place; or error
//!   read                               REPLY content; DATA ..; REPLY written, or error
//!   signal                             REPLY sent, or error
//! ```
//!
//! Requests and replies are JSON ([`message`]). Whatever an agent cannot understand is answered by an
//! error, and the connection is closed.
//!
//! # A command and its connection
//!
//! A command gets a process group of its own and the agent's environment. It is over when its first
//! process has ended: what that has written arrives, and what its descendants write afterwards does not. It
//! outlives its connection, with its standard input at the end and its output going nowhere: in the
//! child of a fork all connections are reset, and what ran in the parent must go on there, too.
//!
//! # Who is served
//!
//! Whoever connects may do anything in the guest, so the agent serves the host (CID 2) only, and the
//! host's socket is its user's alone.

pub mod client;
pub mod frame;
pub mod message;
mod put;
mod server;
mod signals;

#[cfg(test)]
mod tests;

pub use server::serve;
pub use signals::default_signals;

/// The port that the agent listens on.
pub const PORT: u32 = 1024;
