//! Which commands can run here.

use serde::Serialize;

#[cfg(test)]
mod tests;

/// Whether one command can run here.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Verdict {
    /// The command.
    pub(super) command: &'static str,
    /// It can run.
    pub(super) works: bool,
    /// What stands in its way.
    pub(super) missing: Vec<Missing>,
}

/// Something that a command cannot do without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Missing {
    /// What it is.
    pub(super) what: &'static str,
    /// Why it is not to be had, and what to do.
    why: String,
}

/// A verdict for each command.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Verdicts(Vec<Verdict>);

/// The command that shows what pincow does: this host is good enough if it can run.
const DEMO: &str = "demo";

impl Verdicts {
    /// The verdicts, from what is wrong with KVM and with the `trap` backing.
    pub(super) fn new(no_kvm: Option<&str>, no_trap: Option<&str>) -> Self {
        let missing = |what, why: Option<&str>| why.map(|why| Missing { what, why: why.into() });
        let (kvm, faults) = (missing("KVM", no_kvm), missing("userfaultfd", no_trap));
        let of = |command, needs: &[&Option<Missing>]| {
            let missing: Vec<_> = needs.iter().filter_map(|need| (*need).clone()).collect();
            Verdict { command, works: missing.is_empty(), missing }
        };
        Self(vec![
            of("run", &[&kvm, &faults]),
            of(DEMO, &[&kvm, &faults]),
            of("bench", &[&kvm, &faults]),
            of("rules run --on guest", &[&kvm, &faults]),
            of("rules run --on memory", &[&faults]),
            of("rules", &[]),
        ])
    }

    /// Whether the demo can run.
    pub(super) fn demo_works(&self) -> bool {
        self.0.iter().any(|verdict| verdict.command == DEMO && verdict.works)
    }

    /// Each in turn.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Verdict> {
        self.0.iter()
    }
}
