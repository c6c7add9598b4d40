//! The freestanding guest payload of pincow: it starts in ring-3 long mode, takes commands from
//! its mailbox, and works on its own memory. `guest/README.md` is its contract with the monitor.
//!
//! All of it is in this library, so that the workspace's checks see it; `payload.rs` makes an
//! image of it, which only `vmm/build.rs` compiles. The logic that does not touch the machine is
//! in `pincow-guest-protocol`, with tests that run on the host.
#![no_std]

mod commands;
mod disk;
mod mailbox;
mod mmio;
mod panic;
mod ram;
mod runtime;
mod serial;
mod start;
