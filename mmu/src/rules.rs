//! The rules: nine sets, each a handful of decisions made from values alone.
//!
//! Nothing here looks anything up, locks anything or can fail. An address space gathers the
//! [`Facts`] of one page, asks, and does what the answer says. The sources are the linux-mm
//! discussion "restore full accuracy in COW page reuse" of January 2021 (Linus Torvalds' rules
//! (a) to (d), Andy Lutomirski's answer) and what Linux did before and after it:
//!
//! - (a) a page is made writable in place only when its count is 1, otherwise the writer copies;
//! - (b) a writable page starts out reachable from its page table alone, a pin breaks COW first
//!   and counts after;
//! - (c) a writable page is made read-only only when its count is 1;
//! - (d) a writable page is evicted only when its count is 1;
//! - (e) a pin for reading takes the write fault too. Without it a device reads bytes that are
//!   older than its owner's memory (the scenarios A9 to A13, U1 and U2).
//!
//! It follows that only a pin can raise the count of a *writable* page, so "writable and count
//! above 1" says *pinned* exactly, and no second counter is needed. The sets other than
//! [`RuleSet::SingleRefcount`] are there to be compared with it.

use serde::Serialize;

use crate::count::Tally;

mod names;
#[cfg(test)]
mod tests;

pub use names::UnknownName;

/// Which way a device moves data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// The device writes guest memory (a virtio-blk read).
    FromDevice,
    /// The device reads guest memory (a virtio-blk write).
    ToDevice,
}

/// How long a pin may live. Only `wait` and `short-read` decide by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Duration {
    /// One request.
    Short,
    /// Until told otherwise, such as a registered buffer.
    Long,
}

/// References that a pin adds under [`RuleSet::PinBias`]: Linux' `GUP_PIN_COUNTING_BIAS`.
pub const PIN_BIAS: u32 = 1024;

/// The rule sets, by what decides whether a page may be reused, shared or evicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleSet {
    /// (a) to (d), plus (e); a fork copies a pinned page for the child. The default.
    #[default]
    SingleRefcount,
    /// (a) to (d) to the letter, without (e); a fork copies a pinned page for the child.
    Literal,
    /// (a) to (d) to the letter; the fork of a pinned page is refused.
    Busy,
    /// Linux 5.9 to 5.18: reuse at count 1, exact pin count, early copy at fork, write-protection
    /// unconditional.
    Refcount,
    /// `refcount`, with a page taken for pinned when its count reaches [`PIN_BIAS`].
    PinBias,
    /// Linux 5.19 and 6.2: a private bit beside the count; read pins unshare.
    Exclusive,
    /// Lutomirski's proposal: the private bit, and whoever meets a pin waits for it.
    Wait,
    /// `exclusive`, but a short read pin may sit on a shared page and keeps the bytes of its time,
    /// as NetBSD's page loans do.
    ShortRead,
    /// Linux up to 5.8: reuse when one page table maps the page, pins ignored. Unsafe.
    Mapcount,
}

/// A single rule of [`RuleSet::Exclusive`] left out, so that tests can show that they would see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mutant {
    /// A read pin does not unshare.
    ReadPinKeepsSharing,
    /// A fork ignores pins.
    ForkIgnoresPins,
    /// An eviction ignores pins.
    EvictIgnoresPins,
    /// Write-protection clears the private bit.
    ProtectClearsPrivate,
    /// A fork leaves the parent's private bit set.
    ForkKeepsParentPrivate,
    /// A write reuses the page when one page table maps it, whoever else holds it: pins, or the
    /// swap for a sharer that has not come back yet.
    ReuseByMapcount,
    /// What comes back from the swap is always private.
    SwapInPrivate,
    /// A fork does not write-protect the parent's page.
    ForkLeavesParentWritable,
}

/// A rule set, perhaps with one of its rules left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rules {
    /// The set.
    pub set: RuleSet,
    /// The rule that is left out: only for tests of the tests.
    pub mutant: Option<Mutant>,
}

/// What a decision about one page of one address space may depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The space's own entry lets writes through.
    pub writable: bool,
    /// The space's own entry has the private bit.
    pub private: bool,
    /// Who holds the frame.
    pub tally: Tally,
}

/// What a write to a protected page does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnWrite {
    /// Make the page writable where it is.
    Reuse,
    /// Give the writer a copy.
    Copy,
    /// Wait until the pins are gone.
    Wait,
}

/// What a fork or snapshot does with one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFork {
    /// Share the frame, write-protected on both sides.
    Share,
    /// Copy the frame for the other side, and leave the parent's entry as it is.
    Copy,
    /// Refuse the whole fork.
    Busy,
    /// Wait until the pins are gone.
    Wait,
}

/// What has to happen before a pin is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeforePin {
    /// Nothing.
    Nothing,
    /// The write fault, if the page is protected.
    WriteFault,
    /// Set the private bit.
    MakePrivate,
    /// A private copy, still protected.
    Unshare,
}

/// Whether a page may be protected, evicted or discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go ahead.
    Allow,
    /// Refuse.
    Busy,
    /// Wait until the pins are gone.
    Wait,
}

impl RuleSet {
    /// Whether entries have a private bit that means something.
    #[must_use]
    pub fn has_private_bit(self) -> bool {
        matches!(self, Self::Exclusive | Self::Wait | Self::ShortRead)
    }

    /// Whether guests may lose, leak or corrupt data without any fault of the monitor's caller.
    #[must_use]
    pub fn is_unsafe(self) -> bool {
        self == Self::Mapcount
    }

    /// What the exhaustive exploration is known to find, for reports: empty for the sound sets.
    #[must_use]
    pub fn known_findings(self) -> &'static str {
        match self {
            Self::SingleRefcount | Self::Exclusive | Self::ShortRead | Self::Wait => "",
            Self::Literal | Self::Busy => "STALE: a read pin on a protected page goes stale",
            Self::Refcount | Self::PinBias => {
                "LOST, STALE: write-protection under a pin loses device writes"
            }
            Self::Mapcount => "LEAK, LOST, STALE: pins are ignored",
        }
    }
}

impl From<RuleSet> for Rules {
    fn from(set: RuleSet) -> Self {
        Self { set, mutant: None }
    }
}

impl Rules {
    /// Whether writable pages may be reachable from elsewhere, against rule (b).
    #[must_use]
    pub fn is_broken(self) -> bool {
        self.set.is_unsafe() || self.mutant.is_some()
    }

    fn lacks(self, rule: Mutant) -> bool {
        self.mutant == Some(rule)
    }

    /// Whether the frame counts as pinned, for the sets that keep a count of pins.
    fn pinned(self, tally: Tally) -> bool {
        match self.set {
            RuleSet::PinBias => tally.refs + tally.pins() * (PIN_BIAS - 1) >= PIN_BIAS,
            _ => tally.pins() > 0,
        }
    }

    /// A write to a protected page: rule (a).
    #[must_use]
    pub fn on_write(self, facts: Facts) -> OnWrite {
        let Facts { private, tally, .. } = facts;
        if self.lacks(Mutant::ReuseByMapcount) {
            return if tally.maps == 1 { OnWrite::Reuse } else { OnWrite::Copy };
        }
        if self.set == RuleSet::Mapcount {
            return if tally.maps == 1 && !tally.swapped { OnWrite::Reuse } else { OnWrite::Copy };
        }
        if tally.refs == 1 || (self.set.has_private_bit() && private) {
            OnWrite::Reuse
        } else if self.set == RuleSet::Wait && tally.short_reads > 0 {
            OnWrite::Wait
        } else {
            OnWrite::Copy
        }
    }

    /// Whether [`on_write`](Self::on_write) may say *wait*: then the end of each pin matters to
    /// writers.
    #[must_use]
    pub fn writers_may_wait(self) -> bool {
        self.set == RuleSet::Wait
    }

    /// Whether the host may answer writes by itself, with a copy each time: it makes nobody wait, and
    /// a fork looks at the pins of those pages only that a space may write.
    #[must_use]
    pub fn let_host_copy(self) -> bool {
        let looks = matches!(self.set, RuleSet::Refcount | RuleSet::PinBias | RuleSet::Wait);
        !looks && matches!(self.mutant, None | Some(Mutant::ForkIgnoresPins))
    }

    /// A fork or snapshot: rule (c).
    #[must_use]
    pub fn on_fork(self, facts: Facts) -> OnFork {
        let Facts { writable, private, tally } = facts;
        if self.lacks(Mutant::ForkIgnoresPins) {
            return OnFork::Share;
        }
        match self.set {
            RuleSet::Mapcount => OnFork::Share,
            RuleSet::SingleRefcount | RuleSet::Literal if writable && tally.refs > 1 => {
                OnFork::Copy
            }
            RuleSet::Busy if writable && tally.refs > 1 => OnFork::Busy,
            RuleSet::SingleRefcount | RuleSet::Literal | RuleSet::Busy => OnFork::Share,
            RuleSet::Refcount | RuleSet::PinBias if self.pinned(tally) => OnFork::Copy,
            RuleSet::Refcount | RuleSet::PinBias => OnFork::Share,
            RuleSet::Wait if tally.write_pins > 0 => OnFork::Wait,
            RuleSet::Exclusive | RuleSet::ShortRead if tally.write_pins > 0 => OnFork::Copy,
            RuleSet::Exclusive if tally.pins() > 0 && (writable || private) => OnFork::Copy,
            RuleSet::Wait | RuleSet::ShortRead if tally.long_reads > 0 && (writable || private) => {
                OnFork::Copy
            }
            RuleSet::Exclusive | RuleSet::Wait | RuleSet::ShortRead => OnFork::Share,
        }
    }

    /// What comes before a pin: rules (b) and (e). An uncounted one is a reference that the sets
    /// which keep pin counts or bits do not know as a pin.
    #[must_use]
    pub fn before_pin(
        self,
        facts: Facts,
        direction: Direction,
        duration: Duration,
        counted: bool,
    ) -> BeforePin {
        if direction == Direction::FromDevice || self.set == RuleSet::SingleRefcount {
            return BeforePin::WriteFault;
        }
        if !self.set.has_private_bit() || !counted || facts.private {
            return BeforePin::Nothing;
        }
        if facts.tally.refs == 1 {
            return BeforePin::MakePrivate;
        }
        let unshares = match self.set {
            RuleSet::Exclusive => !self.lacks(Mutant::ReadPinKeepsSharing),
            _ => duration == Duration::Long,
        };
        if unshares { BeforePin::Unshare } else { BeforePin::Nothing }
    }

    /// Write-protecting one page of one space, as dirty tracking does: rule (c).
    #[must_use]
    pub fn on_protect(self, facts: Facts) -> Verdict {
        match self.set {
            RuleSet::SingleRefcount | RuleSet::Literal | RuleSet::Busy
                if facts.writable && facts.tally.refs > 1 =>
            {
                Verdict::Busy
            }
            _ => Verdict::Allow,
        }
    }

    /// Evicting or discarding a page: rule (d).
    #[must_use]
    pub fn on_evict(self, facts: Facts) -> Verdict {
        let Facts { writable, tally, .. } = facts;
        if self.lacks(Mutant::EvictIgnoresPins) {
            return Verdict::Allow;
        }
        match self.set {
            RuleSet::Mapcount => Verdict::Allow,
            RuleSet::SingleRefcount | RuleSet::Literal | RuleSet::Busy => {
                if writable && tally.refs > 1 { Verdict::Busy } else { Verdict::Allow }
            }
            RuleSet::Wait if self.pinned(tally) => Verdict::Wait,
            _ if self.pinned(tally) => Verdict::Busy,
            _ => Verdict::Allow,
        }
    }

    /// The parent's entry after its page was shared by a fork: (writable, private).
    #[must_use]
    pub fn parent_after_share(self, writable: bool, private: bool) -> (bool, bool) {
        (
            writable && self.lacks(Mutant::ForkLeavesParentWritable),
            private && self.lacks(Mutant::ForkKeepsParentPrivate),
        )
    }

    /// The private bit of a page after it was write-protected.
    #[must_use]
    pub fn private_after_protect(self, private: bool) -> bool {
        private && !self.lacks(Mutant::ProtectClearsPrivate)
    }

    /// The private bit of a page that comes back from the swap, whose entry had `private`.
    #[must_use]
    pub fn private_after_swap_in(self, private: bool) -> bool {
        private || self.lacks(Mutant::SwapInPrivate)
    }
}
