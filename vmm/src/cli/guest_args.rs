//! The options of every command that runs guests.

use std::sync::Arc;

use pincow_guest_protocol::map::MAX_VCPUS;
use pincow_mmu::rules::{RuleSet, Rules};

use super::Failure;
use super::memory_size::MemorySize;
use crate::guest::{BackingKind, Prefault, Sharing};
use crate::kvm::Host;

#[cfg(test)]
mod tests;

/// The options of every command that runs guests.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct GuestArgs {
    /// Guest memory, such as 64M or 1G: a multiple of 2 MiB.
    #[arg(long, default_value = "64M", value_name = "SIZE")]
    pub(super) memory: MemorySize,

    /// How many virtual CPUs.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = vcpus_in_range)]
    pub(super) vcpus: u32,

    #[command(flatten)]
    pub(super) rules: RuleArgs,

    /// What is done about pages that clones of a snapshot will probably write.
    ///
    /// `learned`, which needs `--backing hostcow`: a snapshot remembers what its clones have written, of those that
    /// have ended or were forked. A new one has what most of the last three wrote copied beside the start of its
    /// vCPUs, 4096 pages (16 MiB) at most, by one thread of the family. Its first writes are faster; but
    /// it takes a second CPU meanwhile, and memory for what it does not write after all. So it is off unless
    /// it is asked for. `pincow bench cow` measures both.
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    pub(super) prefault: Prefault,
}

impl GuestArgs {
    /// The rules and who carries them out, if that is possible.
    pub(super) fn sharing(&self) -> Result<Sharing, Failure> {
        self.rules.sharing_with(self.prefault)
    }
}

/// The options of every command that shares memory.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct RuleArgs {
    /// What decides when frames are copied, shared and reused: see `pincow rules table`.
    #[arg(long = "rules", default_value_t, value_name = "NAME")]
    pub(super) set: RuleSet,

    /// How guest memory is shared. [default: hostcow, or trap for rule sets that want to decide about each first
    /// write; trap for `stress`, which evicts pages there]
    #[arg(long, value_enum, value_name = "KIND")]
    pub(super) backing: Option<BackingKind>,

    /// Allow a rule set that is known to lose data (`mapcount`).
    #[arg(long = "unsafe")]
    allow_unsafe: bool,
}

impl RuleArgs {
    /// The rules, unless they are unsafe and nobody said that this is wanted.
    fn rules(&self) -> Result<Rules, Failure> {
        if self.set.is_unsafe() && !self.allow_unsafe {
            return Err(Failure::UnsafeRules);
        }
        Ok(Rules::from(self.set))
    }

    /// Who carries the rules out: the faster one, if it can and nobody asked for another.
    pub(super) fn backing(&self) -> BackingKind {
        self.backing.unwrap_or_else(|| match Rules::from(self.set).let_host_copy() {
            true => BackingKind::HostCow,
            false => BackingKind::Trap,
        })
    }

    /// The rules and who carries them out, if that is possible. Nothing is prefaulted.
    pub(super) fn sharing(&self) -> Result<Sharing, Failure> {
        self.sharing_with(Prefault::Off)
    }

    fn sharing_with(&self, prefault: Prefault) -> Result<Sharing, Failure> {
        let sharing = Sharing { rules: self.rules()?, backing: self.backing(), prefault };
        sharing.check()?;
        Ok(sharing)
    }

    /// What is known against the rule set, for reports. Empty for the sound ones.
    pub(super) fn known_findings(&self) -> &'static str {
        self.set.known_findings()
    }
}

/// Opens KVM.
pub(super) fn open_host() -> Result<Arc<Host>, Failure> {
    Ok(Arc::new(Host::open()?))
}

/// As many as the guests' memory map has room for.
fn vcpus_in_range(text: &str) -> Result<u32, String> {
    let most = MAX_VCPUS as u32;
    match text.parse() {
        Ok(vcpus) if (1..=most).contains(&vcpus) => Ok(vcpus),
        _ => Err(format!("a guest can have 1 to {most}")),
    }
}
