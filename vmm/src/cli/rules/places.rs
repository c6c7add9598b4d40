//! The places of `pincow rules run`, opened, and what a script shows in each.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use pincow_mmu::SpaceError;
use pincow_mmu::host::{HostFeatures, MemoryError, MemoryOptions};
use pincow_mmu::rules::RuleSet;
use pincow_mmu::scenario::{Finding, Model, Op, Place, RealMemory, RunError, Script, run};
use serde::Serialize;

use super::choice::PlaceName;
use crate::cli::Failure;
use crate::guest::{BackingKind, Sharing};
use crate::kvm::Host;
use crate::lab::{LabError, RealGuests};

/// What a scenario showed in a place, as it is printed.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Shown {
    /// What the checker found.
    Outcome {
        /// Everything, each once.
        findings: BTreeSet<Finding>,
        /// How many pages were copied.
        copies: u64,
    },
    /// The place has no way to do what the script asks for, on any machine.
    Inexpressible {
        /// Which line, and why.
        not_expressible: String,
    },
    /// The backing leaves to the host what the script or the rules want.
    LeftOut {
        /// What, and what to do.
        left_out: String,
        #[serde(skip)]
        what: LeftToHost,
    },
}

/// What a backing leaves to the host.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LeftToHost {
    /// Decisions that the rule set wants to make.
    Rules,
    /// An operation of the script: to write-protect a page.
    Operation,
}

/// What it takes to run scripts in the chosen places.
pub(super) struct Places {
    names: Vec<PlaceName>,
    backing: BackingKind,
    /// Where there are guests.
    host: Option<Arc<Host>>,
    folder: PathBuf,
}

impl Places {
    /// Opens what the places need. Disks of guests are made in `folder`.
    pub(super) fn open(
        names: Vec<PlaceName>,
        backing: BackingKind,
        folder: PathBuf,
    ) -> Result<Self, Failure> {
        let host = match names.contains(&PlaceName::Guest) {
            true => Some(Arc::new(Host::open()?)),
            false => None,
        };
        if let Some(name) = names.iter().find(|name| **name != PlaceName::Model) {
            let required = HostFeatures::probe().require(backing.into());
            required.map_err(MemoryError::from).map_err(none(*name))?;
        }
        Ok(Self { names, backing, host, folder })
    }

    /// Runs a script under `set`, in each place a fresh one, and tells what it showed there.
    pub(super) fn run(
        &self,
        script: &Script,
        set: RuleSet,
        mut tell: impl FnMut(PlaceName, Shown) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let sharing = Sharing { backing: self.backing, ..set.into() };
        for &name in &self.names {
            let shown = match sharing.check() {
                Ok(()) => self.shown(script, sharing, name)?,
                Err(reason) => {
                    Shown::LeftOut { left_out: reason.to_string(), what: LeftToHost::Rules }
                }
            };
            tell(name, shown)?;
        }
        Ok(())
    }

    fn shown(&self, script: &Script, sharing: Sharing, name: PlaceName) -> Result<Shown, Failure> {
        let Sharing { rules, backing, .. } = sharing;
        match (name, &self.host) {
            (PlaceName::Memory, _) => {
                let options = MemoryOptions { backing: backing.into(), ..MemoryOptions::default() };
                let mut memory = RealMemory::with(rules, options).map_err(none(name))?;
                outcome(script, &mut memory).or_else(left_out)
            }
            (PlaceName::Guest, Some(host)) => {
                let guests = RealGuests::new(host, rules, &self.folder).map_err(none(name))?;
                outcome(script, &mut guests.backed_by(backing)).or_else(not_on_guests)
            }
            _ => {
                let mut model = match backing {
                    BackingKind::Trap => Model::of(rules),
                    BackingKind::HostCow => Model::where_host_copies(rules),
                };
                outcome(script, &mut model).or_else(left_out)
            }
        }
    }
}

fn outcome<P: Place>(script: &Script, place: &mut P) -> Result<Shown, RunError<P::Error>> {
    let outcome = run(script, place)?;
    Ok(Shown::Outcome { findings: outcome.findings, copies: outcome.copies })
}

/// A script that ended early, unless it asked for something that the host does not do.
fn left_out(error: RunError<SpaceError>) -> Result<Shown, Failure> {
    match error {
        RunError::Operation {
            line, op, source: source @ SpaceError::LeftToHost { .. }, ..
        } => Ok(left_to_host(line, &op, &source)),
        error => Err(failure(error)),
    }
}

/// The same, or unless it asked for something that no guest could do.
fn not_on_guests(error: RunError<LabError>) -> Result<Shown, Failure> {
    match error {
        RunError::Operation { line, op, source, .. } if source.is_inexpressible() => {
            Ok(Shown::Inexpressible { not_expressible: format!("line {line}, `{op}`: {source}") })
        }
        RunError::Operation { line, op, source, .. } if source.is_left_to_host() => {
            Ok(left_to_host(line, &op, &source))
        }
        error => Err(failure(error)),
    }
}

fn left_to_host(line: usize, op: &Op, source: &dyn Error) -> Shown {
    let left_out = format!("line {line}, `{op}`: {source}");
    Shown::LeftOut { left_out, what: LeftToHost::Operation }
}

fn failure<E: Error>(error: RunError<E>) -> Failure {
    let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
    Failure::Other(format!("{error}{cause}"))
}

fn none<E: Error>(name: PlaceName) -> impl FnOnce(E) -> Failure {
    move |error| Failure::Other(format!("scenarios cannot run on {name} here: {error}"))
}
