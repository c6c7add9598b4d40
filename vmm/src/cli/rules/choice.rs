//! Which rule sets and which places a command is about.

use std::fmt;
use std::str::FromStr;

use pincow_mmu::rules::{RuleSet, UnknownName};
use serde::Serialize;

#[cfg(test)]
mod tests;

/// One word of `--rules`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SetChoice {
    /// All nine, in the order of the decision table.
    All,
    /// The one of this name.
    One(RuleSet),
}

/// A word that chooses no rule set. The message lists those that do.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}; or `all`")]
pub(super) struct NotAChoice(UnknownName);

impl FromStr for SetChoice {
    type Err = NotAChoice;

    fn from_str(word: &str) -> Result<Self, NotAChoice> {
        match word {
            "all" => Ok(Self::All),
            name => name.parse().map(Self::One).map_err(NotAChoice),
        }
    }
}

/// The chosen sets in the order of the choice, each once.
pub(super) fn chosen(choices: &[SetChoice]) -> Vec<RuleSet> {
    let all = choices.iter().flat_map(|choice| match choice {
        SetChoice::All => RuleSet::ALL.to_vec(),
        SetChoice::One(set) => vec![*set],
    });
    each_once(all)
}

/// Where scenarios happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PlaceName {
    /// The rules alone, over a model of memory.
    Model,
    /// Real memory: windows that trap through userfaultfd, with this process as CPU and device.
    Memory,
    /// Real guests on KVM: vCPUs that read and write, pins that are virtio-blk requests, transfers
    /// that are io_uring's.
    Guest,
}

impl fmt::Display for PlaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Model => "model",
            Self::Memory => "memory",
            Self::Guest => "guest",
        })
    }
}

/// Items in their order, each once.
pub(super) fn each_once<T: PartialEq>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    items.into_iter().fold(Vec::new(), |mut unique, item| {
        if !unique.contains(&item) {
            unique.push(item);
        }
        unique
    })
}

/// Says on stderr what is known against a set; nothing of a sound one.
pub(super) fn tell_known_findings(set: RuleSet) {
    let known = set.known_findings();
    if !known.is_empty() {
        eprintln!("pincow: `{set}` is known to show {known}");
    }
}
