//! Scenario scripts on real guests: the third place for scripts, beside the model and this process's
//! own memory ([`pincow_mmu::scenario`]).
//!
//! | in a script | here |
//! | --- | --- |
//! | a guest | a guest on KVM with a vCPU, a virtio-blk disk and the embedded payload |
//! | `write`, `read` | its vCPU fills sector `b`; its vCPU reads both sectors |
//! | `pin G R` | one virtio-blk *write* of the whole page, which its driver submits and its device pins and holds |
//! | `pin G W` | one virtio-blk *read* to sector `a`; `b` beside it stays the CPU's |
//! | `dma_write` | the stamp is put on the disk where the request reads, then an io_uring transfer from there to the pinned frame, at the address in its own layer |
//! | `dma_read` | an io_uring transfer from the pinned frame to where the request is on the disk, where it is then looked at |
//! | `unpin` | the device completes the request, and the driver sees its end: without error, or, if the device never moved a byte, with an I/O error |
//! | `fork` | [`Guest::fork`](crate::guest::Guest::fork), with all requests in flight. They stay the parent's; in the child they fail ([`Policy::Error`](crate::virtio::blk::Policy::Error)), and its driver sees that |
//! | `destroy` | the guest is dropped. What its device was busy with stays pinned until `unpin` |
//! | `evict`, `write_protect`, `hold`, `release` | what the monitor does to a guest's memory |
//! | a copy | the page got another frame; copies of other pages (stacks, rings) are not the script's |
//!
//! # What virtio-blk cannot say
//!
//! Three things are the device's doing, and no driver could ask for them. All three are real here: a
//! request that its device pins as `long` or as `uncounted` (the rules are told so, or are not told,
//! when the frame is pinned: [`PinMode::As`]), and a device that reads the buffer of a `W` request,
//! which the standard leaves to diagnostics (virtio 1.2, section 2.7.5.1).
//!
//! One thing cannot be had: more pins of one guest at a time than a virtqueue has entries
//! ([`LabError::is_inexpressible`]).
//!
//! # Where the kernel copies
//!
//! Under `hostcow` ([`RealGuests::backed_by`]) the host's kernel answers a guest's first write to a shared
//! page, with a copy each time: the image that the page is shared through holds it, too. What comes of a
//! script is what the model shows [where the host copies](pincow_mmu::scenario::Model::where_host_copies).
//! It cannot write-protect single pages ([`LabError::is_left_to_host`]), and an eviction asks the rules, then
//! the kernel. Bytes that a fork moves out of the kernel's copy, so that they can be shared, are not a
//! copy that a rule asked for, and are not counted.
//!
//! # Waiting
//!
//! Under `wait`, a vCPU would sit in its fault, and a request at its device, until pins are gone; a
//! script drains them only when it is told to. So the space is asked first, and neither is begun
//! ([`before_write`](pincow_mmu::scenario::access::before_write)).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pincow_guest_protocol::map::TABLE_FIRST_PAGE;
use pincow_mmu::Gfn;
use pincow_mmu::rules::Rules;

use crate::guest::{BackingKind, PinMode, Sharing};
use crate::kvm::Host;

mod desk;
mod dma;
mod error;
mod medium;
mod member;
mod place;
#[cfg(test)]
mod tests;

use desk::Desk;
use dma::Dma;

pub use error::LabError;
pub use member::Member;
pub use place::HeldRequest;

/// The script's page. It has neighbours with which its mappings may merge.
const PAGE: Gfn = Gfn(TABLE_FIRST_PAGE as u32 + 3);

/// Entries of a guest's virtqueue: its pins at a time.
const QUEUE_SIZE: u16 = 256;

/// Real guests as a place for scripts. Each scenario has a family of its own.
pub struct RealGuests {
    host: Arc<Host>,
    sharing: Sharing,
    folder: PathBuf,
    /// How devices hold memory, if not as the script says.
    pins: Option<PinMode>,
    desk: Desk,
    dma: Dma,
    requests: u64,
    copies: u64,
}

impl RealGuests {
    /// A place under `rules`, which decide everything. Disks are made in `folder` and have no name there
    /// for long.
    ///
    /// # Errors
    /// When there is no io_uring.
    pub fn new(host: &Arc<Host>, rules: Rules, folder: &Path) -> Result<Self, LabError> {
        Ok(Self {
            host: Arc::clone(host),
            sharing: Sharing { backing: BackingKind::Trap, ..rules.into() },
            folder: folder.to_owned(),
            pins: None,
            desk: Desk::default(),
            dma: Dma::new()?,
            requests: 0,
            copies: 0,
        })
    }

    /// The same with memory of another kind. [`Sharing::check`] says which rules it can be had with.
    #[must_use]
    pub fn backed_by(self, backing: BackingKind) -> Self {
        Self { sharing: Sharing { backing, ..self.sharing }, ..self }
    }

    /// The same with devices that hold memory in one way, whatever scripts say: a negative control.
    #[must_use]
    pub fn with_pins(self, pins: PinMode) -> Self {
        Self { pins: Some(pins), ..self }
    }

    /// Counts a copy if the page has got another frame. An evicted one comes back to its place.
    fn note(&mut self, member: &Member) -> Result<(), LabError> {
        let Some(now) = member.frame_now()? else { return Ok(()) };
        let before = member.frame.replace(Some(now));
        self.copies += u64::from(before.is_some_and(|before| before != now));
        Ok(())
    }
}
