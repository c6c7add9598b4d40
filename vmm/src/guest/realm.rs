//! What the guests of a family share beside their frames: the host and the backing.

use std::io;
use std::sync::Arc;

use pincow_mmu::host::{HostFeatures, HostMemory, MemoryOptions, Store};
use pincow_mmu::live::{self, LiveSpace};
use pincow_mmu::rules::Rules;
use pincow_mmu::stats::Counts;
use pincow_mmu::{AddressSpace, Family, PAGE_SIZE};

use super::GuestError;
use crate::boot;
use crate::kvm::Host;

/// How guest memory is shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum BackingKind {
    /// Every first write to a shared page is decided by pincow.
    #[default]
    Trap,
}

/// What a family has in common.
pub struct Realm {
    host: Arc<Host>,
    family: Arc<Family<HostMemory>>,
}

impl Realm {
    /// A family without guests, each of which will have `memory_bytes` bytes.
    pub(super) fn new(
        host: &Arc<Host>,
        memory_bytes: u64,
        rules: Rules,
    ) -> Result<Arc<Self>, GuestError> {
        let present = HostFeatures::probe().total_memory_bytes;
        if memory_bytes > present {
            let (wanted, present) = (memory_bytes >> 20, present >> 20);
            return Err(GuestError::TooLarge { wanted, present });
        }
        let bytes = memory_bytes;
        if bytes < boot::RAM_LEAST_BYTES || !bytes.is_multiple_of(boot::paging::PAGE_BYTES) {
            return Err(GuestError::Size { bytes });
        }
        let pages =
            u32::try_from(bytes / PAGE_SIZE as u64).map_err(|_| GuestError::Size { bytes })?;
        let trap = HostMemory::new(pages, MemoryOptions::default())?;
        let family = Family::new(Arc::new(trap), rules, pages);
        Ok(Arc::new(Self { host: Arc::clone(host), family }))
    }

    /// The memory of the first guest, ready to be touched.
    pub(super) fn root_space(&self) -> Result<Arc<LiveSpace>, GuestError> {
        let space = AddressSpace::root(&self.family)?;
        live::attach(&space);
        Ok(space)
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// The frames and who holds them.
    #[must_use]
    pub fn family(&self) -> &Arc<Family<HostMemory>> {
        &self.family
    }

    /// What happened to the frames so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.family.counters().now()
    }

    /// Bytes of host memory that all frames of the family take, as the kernel counts the blocks of
    /// their files.
    ///
    /// # Errors
    /// When a file cannot be asked.
    pub fn resident_bytes(&self) -> io::Result<u64> {
        self.family.each_store(Store::resident_bytes).into_iter().sum()
    }
}
