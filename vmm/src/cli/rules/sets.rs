//! What each rule set is, in a few words.

use pincow_mmu::rules::RuleSet;
use serde::Serialize;

/// A rule set, as reports describe it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct AboutSet {
    /// The set.
    name: RuleSet,
    /// What it is.
    about: &'static str,
    /// Guests run under it unless told otherwise.
    default: bool,
    /// Guests run under it with `--unsafe` only.
    #[serde(rename = "unsafe")]
    is_unsafe: bool,
    /// What is known against it; empty for the sound ones.
    known_findings: &'static str,
}

impl AboutSet {
    /// The description of `set`.
    pub(super) fn of(set: RuleSet) -> Self {
        Self {
            name: set,
            about: about(set),
            default: set == RuleSet::default(),
            is_unsafe: set.is_unsafe(),
            known_findings: set.known_findings(),
        }
    }

    /// The description as lines for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let marks = match (self.default, self.is_unsafe) {
            (true, _) => " (the default)",
            (_, true) => " (unsafe: guests need --unsafe)",
            _ => "",
        };
        let mut lines = vec![format!("  {:15}  {}{marks}", self.name, self.about)];
        if !self.known_findings.is_empty() {
            lines.push(format!("  {:15}  known: {}", "", self.known_findings));
        }
        lines
    }
}

fn about(set: RuleSet) -> &'static str {
    match set {
        RuleSet::SingleRefcount => {
            "one count decides; a read pin takes the write fault first; forks copy pinned pages"
        }
        RuleSet::Literal => {
            "one count decides, read pins are only counted; forks copy pinned pages"
        }
        RuleSet::Busy => "as `literal`, but a fork that meets a pinned page is refused",
        RuleSet::Refcount => {
            "Linux 5.9 to 5.18: reuse at count 1, pins counted apart, protection at any time"
        }
        RuleSet::PinBias => {
            "as `refcount`, but a page counts as pinned once it has 1,024 references"
        }
        RuleSet::Exclusive => {
            "Linux since 5.19: a private bit per entry allows reuse; read pins unshare first"
        }
        RuleSet::Wait => "the private bit, and whoever meets a pin waits until it is gone",
        RuleSet::ShortRead => {
            "as `exclusive`, but a short read pin may keep the bytes of its time, as page loans do"
        }
        RuleSet::Mapcount => {
            "Linux up to 5.8: reuse when one guest maps the page; pins are ignored"
        }
    }
}
