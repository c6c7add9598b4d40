//! virtio-balloon (virtio 1.2, section 5.5): memory that a guest does not need goes back to the host.
//!
//! There are two ways. The host says how many pages the balloon is to hold, and the driver *inflates* it:
//! it names pages of its own, and does not touch them until it *deflates* it. And with F_REPORTING the
//! driver *reports* ranges that are free at the moment, and has them back as soon as the report is
//! answered. In both cases the device gives up the memory of the pages ([`Reclaim`]); if the guest uses
//! them again, they read as zeros at first. The driver may take pages back from the balloon when it has no
//! others (F_DEFLATE_ON_OOM).
//!
//! Section 5.5.2 gives the queue of reports number 4, whatever else is offered. Linux leaves out the
//! numbers of queues that are not (`vm_find_vqs`), and so do QEMU and others: here it is number 2, behind
//! those to inflate and to deflate. A driver that goes by the letter finds no queue 4.
//!
//! # Transfers
//!
//! A page that a transfer of another device has pinned is left alone, by rule (d). Its driver has named it
//! although a device works on it, which is wrong; but what the transfer reads or writes is the frame that
//! the guest goes on to see, and nobody else's. A transfer that begins afterwards finds zeros.
//!
//! # At a fork
//!
//! A request is served in pieces of [`MOST_PAGES`], since a fork waits for one step. It is not taken
//! before its last piece is: one that is half done at a cut is available in the copy, which begins it
//! again. That is right, since what its pages hold is nobody's concern before it is answered. Size and
//! actual size are copied. What one side discards the other keeps.
//!
//! # Bounds
//!
//! A driver can have pages discarded for ever, piece by piece: this takes its device's thread, and the
//! lock of its own memory. Every second page that it shares with others costs the host mappings, as a
//! write there does; where they run short, the pages are left alone. What it says about its balloon is
//! believed by nobody: `actual` is what it says.

mod device;
mod reclaim;
mod size;
mod worker;

#[cfg(test)]
mod tests;

pub use device::Balloon;
pub use reclaim::Reclaim;
pub use size::Size;
pub use worker::{BalloonCounts, BalloonState, BalloonWorker, MOST_PAGES, QUEUE_SIZE};
