//! A virtio-blk device under a driver that does anything: register accesses, rings, descriptors.
//!
//! ```console
//! $ fuzz/run virtio_blk -max_total_time=60
//! ```
//!
//! Everything runs in this process, in one thread: the real transport, decoder and worker, over
//! guest memory, a disk in memory, and an engine that moves bytes when the input says so. Besides
//! what the sanitizer sees, each input checks that
//!
//! - no transfer touches memory that is neither the guest's nor pinned at the time,
//! - a step ends,
//! - a device can be copied in any state, and everything in flight ends,
//! - after a reset, nothing is pinned and a driver that behaves is served.

#![no_main]

#[path = "virtio_blk/actions.rs"]
mod actions;
#[path = "virtio_blk/guest.rs"]
mod guest;
#[path = "virtio_blk/host.rs"]
mod host;

use actions::Action;
use guest::Guest;
use libfuzzer_sys::fuzz_target;

/// Longer inputs find nothing that shorter ones do not.
const MOST_ACTIONS: usize = 200;

fuzz_target!(|actions: Vec<Action>| {
    let mut guest = Guest::boot();
    for action in actions.iter().take(MOST_ACTIONS) {
        guest.act(action);
    }
    guest.settle();
    guest.restart(false);
    guest.expect_service();
});
