//! The places of `pincow rules run`, opened, and what a script shows in each.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use pincow_mmu::host::{HostFeatures, MemoryError};
use pincow_mmu::rules::{RuleSet, Rules};
use pincow_mmu::scenario::{Finding, Model, Place, RealMemory, RunError, Script, run};
use serde::Serialize;

use super::choice::PlaceName;
use crate::cli::Failure;
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
}

/// What it takes to run scripts in the chosen places.
pub(super) struct Places {
    names: Vec<PlaceName>,
    /// Where there are guests.
    host: Option<Arc<Host>>,
    folder: PathBuf,
}

impl Places {
    /// Opens what the places need. Disks of guests are made in `folder`.
    pub(super) fn open(names: Vec<PlaceName>, folder: PathBuf) -> Result<Self, Failure> {
        let host = match names.contains(&PlaceName::Guest) {
            true => Some(Arc::new(Host::open()?)),
            false => None,
        };
        if let Some(name) = names.iter().find(|name| **name != PlaceName::Model) {
            HostFeatures::probe().require_trap().map_err(MemoryError::from).map_err(none(*name))?;
        }
        Ok(Self { names, host, folder })
    }

    /// Runs a script under `set`, in each place a fresh one, and tells what it showed there.
    pub(super) fn run(
        &self,
        script: &Script,
        set: RuleSet,
        mut tell: impl FnMut(PlaceName, Shown) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let rules = Rules::from(set);
        for &name in &self.names {
            let shown = match (name, &self.host) {
                (PlaceName::Memory, _) => {
                    let mut memory = RealMemory::of(rules).map_err(none(name))?;
                    outcome(script, &mut memory).map_err(failure)?
                }
                (PlaceName::Guest, Some(host)) => {
                    let mut guests =
                        RealGuests::new(host, rules, &self.folder).map_err(none(name))?;
                    outcome(script, &mut guests).or_else(inexpressible)?
                }
                _ => outcome(script, &mut Model::of(rules)).map_err(failure)?,
            };
            tell(name, shown)?;
        }
        Ok(())
    }
}

fn outcome<P: Place>(script: &Script, place: &mut P) -> Result<Shown, RunError<P::Error>> {
    let outcome = run(script, place)?;
    Ok(Shown::Outcome { findings: outcome.findings, copies: outcome.copies })
}

/// A script that ended early, unless it asked for something that no guest could do.
fn inexpressible(error: RunError<LabError>) -> Result<Shown, Failure> {
    match error {
        RunError::Operation { line, op, source, .. } if source.is_inexpressible() => {
            Ok(Shown::Inexpressible { not_expressible: format!("line {line}, `{op}`: {source}") })
        }
        error => Err(failure(error)),
    }
}

fn failure<E: Error>(error: RunError<E>) -> Failure {
    let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
    Failure::Other(format!("{error}{cause}"))
}

fn none<E: Error>(name: PlaceName) -> impl FnOnce(E) -> Failure {
    move |error| Failure::Other(format!("scenarios cannot run on {name} here: {error}"))
}
