//! What the guests of a family share beside their frames: the host and the backing.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pincow_mmu::host::{self, HostFeatures, HostMemory, MemoryOptions, Store};
use pincow_mmu::live::{self, LiveSpace};
use pincow_mmu::rules::{RuleSet, Rules};
use pincow_mmu::stats::Counts;
use pincow_mmu::{AddressSpace, Family, PAGE_SIZE};

use super::prefault::Prefaulter;
use super::{GuestError, Prefault};
use crate::boot;
use crate::kvm::Host;

/// How guest memory is shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum BackingKind {
    /// Every first write to a shared page is decided by pincow.
    #[default]
    Trap,
    /// The host's kernel copies a shared page at its first write; pincow decides about pins and forks.
    #[value(name = "hostcow")]
    HostCow,
}

impl fmt::Display for BackingKind {
    /// As the command line has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trap => "trap",
            Self::HostCow => "hostcow",
        })
    }
}

impl From<BackingKind> for host::BackingKind {
    fn from(kind: BackingKind) -> Self {
        match kind {
            BackingKind::Trap => Self::Trap,
            BackingKind::HostCow => Self::HostCow,
        }
    }
}

/// What decides about the memory that guests of a family share.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sharing {
    /// The rules.
    pub rules: Rules,
    /// Who carries them out.
    pub backing: BackingKind,
    /// What is done about pages that clones will probably write.
    pub prefault: Prefault,
}

impl Sharing {
    /// Whether the backing can carry the rules out.
    ///
    /// # Errors
    /// [`GuestError::Rules`] when it leaves to the host what they want to decide, and
    /// [`GuestError::PrefaultUnderTrap`].
    pub fn check(self) -> Result<(), GuestError> {
        if self.backing == BackingKind::HostCow && !self.rules.let_host_copy() {
            return Err(GuestError::Rules { set: self.rules.set });
        }
        if self.backing == BackingKind::Trap && self.prefault == Prefault::Learned {
            return Err(GuestError::PrefaultUnderTrap);
        }
        Ok(())
    }
}

impl From<Rules> for Sharing {
    /// With the default backing.
    fn from(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }
}

impl From<RuleSet> for Sharing {
    /// With the default backing.
    fn from(set: RuleSet) -> Self {
        Rules::from(set).into()
    }
}

/// What a family has in common.
pub struct Realm {
    host: Arc<Host>,
    family: Arc<Family<HostMemory>>,
    prefault: Prefault,
    prefaulter: OnceLock<Option<Prefaulter>>,
}

impl Realm {
    /// A family without guests, each of which will have `memory_bytes` bytes.
    pub(super) fn new(
        host: &Arc<Host>,
        memory_bytes: u64,
        sharing: Sharing,
    ) -> Result<Arc<Self>, GuestError> {
        sharing.check()?;
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
        let options = MemoryOptions { backing: sharing.backing.into(), ..MemoryOptions::default() };
        let memory = HostMemory::new(pages, options)?;
        let family = Family::new(Arc::new(memory), sharing.rules, pages);
        let (host, prefault) = (Arc::clone(host), sharing.prefault);
        Ok(Arc::new(Self { host, family, prefault, prefaulter: OnceLock::new() }))
    }

    /// The memory of the first guest, ready to be touched.
    pub(super) fn root_space(&self) -> Result<Arc<LiveSpace>, GuestError> {
        let space = AddressSpace::root(&self.family)?;
        live::attach(&space);
        Ok(space)
    }

    /// What is done about pages that clones of its snapshots will probably write.
    pub(super) fn prefault(&self) -> Prefault {
        self.prefault
    }

    /// What does it, started when it is needed first; `None` where there is no CPU for it.
    pub(super) fn prefaulter(&self) -> Option<&Prefaulter> {
        self.prefaulter.get_or_init(Prefaulter::start).as_ref()
    }

    /// The CPU time that all prefaulting of the family has taken.
    pub(crate) fn prefault_cpu_time(&self) -> Duration {
        let prefaulter = self.prefaulter.get().and_then(Option::as_ref);
        prefaulter.map_or(Duration::ZERO, Prefaulter::cpu_time)
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
        self.family.counts()
    }

    /// Bytes of host memory that all frames of the family take, as the kernel counts the blocks of
    /// their files and what it copied.
    ///
    /// # Errors
    /// When a file cannot be asked, or the page tables cannot be read.
    pub fn resident_bytes(&self) -> io::Result<u64> {
        self.family.each_store(Store::resident_bytes).into_iter().sum()
    }

    /// What the frames take that anybody holds, by their counts, each frame once: pincow's own sum, which has to
    /// be what the kernel says ([`Self::resident_bytes`]).
    ///
    /// # Errors
    /// When a file cannot be asked.
    pub fn held_bytes(&self) -> io::Result<u64> {
        self.family.held_bytes()
    }

    /// Of these, bytes that the kernel counts as anonymous memory of this process, too: what it copied.
    ///
    /// # Errors
    /// When its page tables cannot be read.
    pub fn anonymous_bytes(&self) -> io::Result<u64> {
        let bytes = |store: &Store| match store.is_anonymous() {
            true => store.resident_bytes(),
            false => Ok(0),
        };
        self.family.each_store(bytes).into_iter().sum()
    }
}
