//! The names of rule sets and mutants, as the command line and the scripts spell them.

use std::fmt;
use std::str::FromStr;

use super::{Mutant, RuleSet};

/// A name that no rule set or mutant has. The message lists those that exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no {what} `{name}`; there are: {known}")]
pub struct UnknownName {
    what: &'static str,
    name: String,
    known: String,
}

fn find<T: Copy + fmt::Display>(
    what: &'static str,
    all: &[T],
    name: &str,
) -> Result<T, UnknownName> {
    all.iter().copied().find(|item| item.to_string() == name).ok_or_else(|| UnknownName {
        what,
        name: name.to_owned(),
        known: all.iter().map(T::to_string).collect::<Vec<_>>().join(", "),
    })
}

impl RuleSet {
    /// All sets, in the order of the decision table.
    pub const ALL: [Self; 9] = [
        Self::SingleRefcount,
        Self::Literal,
        Self::Busy,
        Self::Refcount,
        Self::PinBias,
        Self::Exclusive,
        Self::Wait,
        Self::ShortRead,
        Self::Mapcount,
    ];
}

impl Mutant {
    /// All mutants.
    pub const ALL: [Self; 8] = [
        Self::ReadPinKeepsSharing,
        Self::ForkIgnoresPins,
        Self::EvictIgnoresPins,
        Self::ProtectClearsPrivate,
        Self::ForkKeepsParentPrivate,
        Self::ReuseByMapcount,
        Self::SwapInPrivate,
        Self::ForkLeavesParentWritable,
    ];
}

impl fmt::Display for RuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::SingleRefcount => "single-refcount",
            Self::Literal => "literal",
            Self::Busy => "busy",
            Self::Refcount => "refcount",
            Self::PinBias => "pin-bias",
            Self::Exclusive => "exclusive",
            Self::Wait => "wait",
            Self::ShortRead => "short-read",
            Self::Mapcount => "mapcount",
        })
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ReadPinKeepsSharing => "read-pin-keeps-sharing",
            Self::ForkIgnoresPins => "fork-ignores-pins",
            Self::EvictIgnoresPins => "evict-ignores-pins",
            Self::ProtectClearsPrivate => "protect-clears-private",
            Self::ForkKeepsParentPrivate => "fork-keeps-parent-private",
            Self::ReuseByMapcount => "reuse-by-mapcount",
            Self::SwapInPrivate => "swap-in-private",
            Self::ForkLeavesParentWritable => "fork-leaves-parent-writable",
        })
    }
}

impl FromStr for RuleSet {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        find("rule set", &Self::ALL, name)
    }
}

impl FromStr for Mutant {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        find("mutant", &Self::ALL, name)
    }
}
