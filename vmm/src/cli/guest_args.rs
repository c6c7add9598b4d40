//! The options of every command that runs guests.

use std::sync::Arc;

use pincow_guest_protocol::map::MAX_VCPUS;
use pincow_mmu::rules::{RuleSet, Rules};

use super::Failure;
use super::memory_size::MemorySize;
use crate::guest::{BackingKind, Sharing};
use crate::kvm::Host;

/// The options of every command that runs guests.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct GuestArgs {
    /// Guest memory, such as 64M or 1G: a multiple of 2 MiB.
    #[arg(long, default_value = "64M", value_name = "SIZE")]
    pub(super) memory: MemorySize,

    /// How many virtual CPUs.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = vcpus_in_range)]
    pub(super) vcpus: u32,

    /// What decides when frames are copied, shared and reused: see `pincow rules table`.
    #[arg(long, default_value_t, value_name = "NAME")]
    pub(super) rules: RuleSet,

    /// How guest memory is shared.
    #[arg(long, value_enum, default_value_t, value_name = "KIND")]
    pub(super) backing: BackingKind,

    /// Allow a rule set that is known to lose data (`mapcount`).
    #[arg(long = "unsafe")]
    pub(super) allow_unsafe: bool,
}

impl GuestArgs {
    /// The rules, unless they are unsafe and nobody said that this is wanted.
    pub(super) fn rules(&self) -> Result<Rules, Failure> {
        if self.rules.is_unsafe() && !self.allow_unsafe {
            return Err(Failure::UnsafeRules);
        }
        Ok(Rules::from(self.rules))
    }

    /// The rules and who carries them out, if that is possible.
    pub(super) fn sharing(&self) -> Result<Sharing, Failure> {
        let sharing = Sharing { rules: self.rules()?, backing: self.backing };
        sharing.check()?;
        Ok(sharing)
    }

    /// What is known against the rule set, for reports. Empty for the sound ones.
    pub(super) fn known_findings(&self) -> &'static str {
        self.rules.known_findings()
    }

    /// Opens KVM.
    pub(super) fn host(&self) -> Result<Arc<Host>, Failure> {
        Ok(Arc::new(Host::open()?))
    }
}

/// As many as the guests' memory map has room for.
fn vcpus_in_range(text: &str) -> Result<u32, String> {
    let most = MAX_VCPUS as u32;
    match text.parse() {
        Ok(vcpus) if (1..=most).contains(&vcpus) => Ok(vcpus),
        _ => Err(format!("a guest can have 1 to {most}")),
    }
}
