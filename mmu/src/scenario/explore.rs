//! Every state that scripts can reach, breadth first, on the same core that guests run on.
//!
//! A state is a script that leads to it; the explorer runs the script again for each operation that
//! could follow. Two scripts lead to the same state when nothing that follows could tell them
//! apart: see [`canonical`](super::canonical). Breadth first, so the first script that shows a kind of
//! finding is as short as any.

use std::collections::{BTreeMap, HashSet};

use super::canonical::{Key, canonical};
use super::{Finding, Limits, Model, Op, Runner, Scope, moves};
use crate::error::SpaceError;
use crate::rules::Rules;

#[cfg(test)]
mod tests;

/// What an exploration found.
#[derive(Clone, Debug)]
pub struct Explored {
    /// How many states were reached.
    pub states: usize,
    /// Every reachable state was visited. `false` when somebody stopped it before.
    pub complete: bool,
    /// The length of the longest of the shortest scripts.
    pub depth: usize,
    /// The shortest script for each kind of finding.
    pub findings: BTreeMap<Finding, Vec<Op>>,
}

/// A state, by the way that leads to it.
struct Node {
    parent: usize,
    op: Option<Op>,
}

/// An exploration under way.
pub struct Explorer {
    rules: Rules,
    limits: Limits,
    nodes: Vec<Node>,
    seen: HashSet<Key>,
    findings: BTreeMap<Finding, Vec<Op>>,
}

impl Explorer {
    /// An exploration of `rules` within `limits`.
    #[must_use]
    pub fn new(rules: Rules, limits: Limits) -> Self {
        let nodes = vec![Node { parent: 0, op: None }];
        Self { rules, limits, nodes, seen: HashSet::new(), findings: BTreeMap::new() }
    }

    /// Explores until everything was seen or `go_on`, which is told the number of states reached
    /// and of those still to be visited, says no.
    ///
    /// # Errors
    /// When the core fails in a way that is not a refusal: a mistake in the core.
    pub fn run(
        mut self,
        mut go_on: impl FnMut(usize, usize) -> bool,
    ) -> Result<Explored, SpaceError> {
        self.seen.insert(self.replay(&[], |runner| Ok(canonical(runner)))?);
        let mut at = 0;
        let mut depth = 0;
        while at < self.nodes.len() {
            if at.is_multiple_of(256) && !go_on(self.nodes.len(), self.nodes.len() - at) {
                return Ok(self.result(false, depth));
            }
            let path = self.path(at);
            depth = depth.max(path.len());
            self.visit(at, path)?;
            at += 1;
        }
        Ok(self.result(true, depth))
    }

    fn result(self, complete: bool, depth: usize) -> Explored {
        Explored { states: self.nodes.len(), complete, depth, findings: self.findings }
    }

    /// The script that leads to a state.
    fn path(&self, mut at: usize) -> Vec<Op> {
        let mut path = Vec::new();
        while let Some(op) = &self.nodes[at].op {
            path.push(op.clone());
            at = self.nodes[at].parent;
        }
        path.reverse();
        path
    }

    /// Tries everything that could come next in one state.
    fn visit(&mut self, at: usize, path: Vec<Op>) -> Result<(), SpaceError> {
        let (next, after_looking) = self.replay(&path, |runner| {
            let next = moves(&living(runner), self.limits);
            let before = canonical(runner);
            // Reads of what is present change nothing, so all of them fit in one run.
            let mut seen = Vec::new();
            for op in next.iter().filter(|op| only_looks(op)) {
                seen.push((op.clone(), findings_of(runner, op)?));
            }
            let unchanged = canonical(runner) == before;
            Ok((next, unchanged.then_some(seen)))
        })?;
        let looked = after_looking.is_some();
        for (op, findings) in after_looking.into_iter().flatten() {
            self.note(&path, &op, findings);
        }
        for op in next {
            if looked && only_looks(&op) {
                continue;
            }
            let (findings, key) = self.replay(&path, |runner| {
                let findings = findings_of(runner, &op)?;
                Ok((findings, canonical(runner)))
            })?;
            self.note(&path, &op, findings);
            if self.seen.insert(key) {
                self.nodes.push(Node { parent: at, op: Some(op) });
            }
        }
        Ok(())
    }

    fn note(&mut self, path: &[Op], op: &Op, findings: Vec<Finding>) {
        for finding in findings {
            self.findings.entry(finding).or_insert_with(|| [path, std::slice::from_ref(op)].concat());
        }
    }

    /// Runs a script on a fresh model, then `then`.
    fn replay<T>(
        &self,
        path: &[Op],
        then: impl FnOnce(&mut Runner<'_, Model>) -> Result<T, SpaceError>,
    ) -> Result<T, SpaceError> {
        let mut model = Model::of(self.rules);
        let mut runner = Runner::new(&mut model)?;
        for op in path {
            runner.step(op)?;
        }
        then(&mut runner)
    }
}

fn only_looks(op: &Op) -> bool {
    matches!(op, Op::Read(_) | Op::DmaRead(_))
}

/// What a step adds to the findings.
fn findings_of(runner: &mut Runner<'_, Model>, op: &Op) -> Result<Vec<Finding>, SpaceError> {
    runner.forget_findings();
    runner.step(op)?;
    Ok(runner.checker().findings().iter().copied().collect())
}

/// The names that really live: a drain may have taken pins that the script still knows.
fn living(runner: &Runner<'_, Model>) -> Scope {
    Scope::of(
        runner.guests().map(|(name, _, _)| (name.clone(), runner.hold(name).is_some())),
        runner.pins().map(|(name, pin, _)| (name.clone(), pin.direction())),
    )
}
