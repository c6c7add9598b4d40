//! Every state that scripts can reach, breadth first, on the same core that guests run on.
//!
//! A state is a script that leads to it; the explorer runs the script again for each operation that
//! could follow. Two scripts lead to the same state when nothing that follows could tell them
//! apart: see [`canonical`](super::canonical). Breadth first, so the first script that shows a kind of
//! finding is as short as any. Several threads visit states; what they bring is entered in the order
//! of the states, so that the result does not depend on how many they are.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZero;

use super::canonical::{Key, View};
use super::{Finding, Limits, Model, Op, Runner};
use crate::error::SpaceError;
use crate::rules::Rules;

#[cfg(test)]
mod tests;
mod visit;

use visit::{Visit, visit};

/// States that are visited between two looks at the progress.
const BATCH: usize = 2048;

/// What an exploration found.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    depth: usize,
}

/// An exploration under way.
pub struct Explorer {
    rules: Rules,
    limits: Limits,
    most_states: usize,
    threads: usize,
    nodes: Vec<Node>,
    seen: HashSet<Key>,
    findings: BTreeMap<Finding, Vec<Op>>,
}

impl Explorer {
    /// An exploration of `rules` within `limits`, on all CPUs, until every state was seen.
    #[must_use]
    pub fn new(rules: Rules, limits: Limits) -> Self {
        Self {
            rules,
            limits,
            most_states: usize::MAX,
            threads: std::thread::available_parallelism().map_or(1, NonZero::get),
            nodes: vec![Node { parent: 0, op: None, depth: 0 }],
            seen: HashSet::new(),
            findings: BTreeMap::new(),
        }
    }

    /// Stops, incomplete, when more than `states` were reached.
    #[must_use]
    pub fn at_most(mut self, states: usize) -> Self {
        self.most_states = states;
        self
    }

    /// Uses so many threads.
    #[must_use]
    pub fn on_threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Explores until everything was seen or `go_on`, which is told the number of states reached
    /// and of those still to be visited, says no.
    ///
    /// # Errors
    /// When the core fails in a way that is not a refusal: a mistake in the core.
    pub fn run(mut self, go_on: impl FnMut(usize, usize) -> bool) -> Result<Explored, SpaceError> {
        let complete = self.explore(go_on)?;
        let depth = self.nodes.last().map_or(0, |node| node.depth);
        Ok(Explored { states: self.nodes.len(), complete, depth, findings: self.findings })
    }

    /// A script for every state, after an exploration like [`run`](Self::run).
    #[cfg(test)]
    fn scripts(
        mut self,
        go_on: impl FnMut(usize, usize) -> bool,
    ) -> Result<Vec<Vec<Op>>, SpaceError> {
        self.explore(go_on)?;
        let script = |at| self.path(at).into_iter().cloned().collect();
        Ok((0..self.nodes.len()).map(script).collect())
    }

    /// Whether all states were visited.
    fn explore(&mut self, mut go_on: impl FnMut(usize, usize) -> bool) -> Result<bool, SpaceError> {
        let mut model = Model::of(self.rules);
        self.seen.insert(View::of(&Runner::new(&mut model)?).key());
        let mut at = 0;
        while at < self.nodes.len() {
            let reached = self.nodes.len();
            if reached > self.most_states || !go_on(reached, reached - at) {
                break;
            }
            let end = reached.min(at + BATCH);
            for (parent, visit) in (at..end).zip(self.visit_all(at, end)) {
                self.enter(parent, visit?);
            }
            at = end;
        }
        Ok(at == self.nodes.len())
    }

    /// The states from `at` to `end`, visited by all threads, in order.
    fn visit_all(&self, at: usize, end: usize) -> Vec<Result<Visit, SpaceError>> {
        let threads = self.threads.min(end - at);
        let mut shares: Vec<_> = std::thread::scope(|scope| {
            let share = |first| move || (at + first..end).step_by(threads).map(|at| self.visit(at));
            let workers: Vec<_> = (1..threads)
                .map(|first| scope.spawn(move || share(first)().collect::<Vec<_>>()))
                .collect();
            let mut shares = vec![share(0)().collect::<Vec<_>>()];
            shares.extend(workers.into_iter().map(|worker| match worker.join() {
                Ok(share) => share,
                Err(panic) => std::panic::resume_unwind(panic),
            }));
            shares.into_iter().map(Vec::into_iter).collect()
        });
        (0..end - at).filter_map(|nth| shares[nth % threads].next()).collect()
    }

    fn visit(&self, at: usize) -> Result<Visit, SpaceError> {
        visit(self.rules, self.limits, &self.path(at), |key| self.seen.contains(key))
    }

    /// The script that leads to a state.
    fn path(&self, mut at: usize) -> Vec<&Op> {
        let mut path = Vec::with_capacity(self.nodes[at].depth);
        while let Some(op) = &self.nodes[at].op {
            path.push(op);
            at = self.nodes[at].parent;
        }
        path.reverse();
        path
    }

    /// Enters what was seen from one state.
    fn enter(&mut self, parent: usize, visit: Visit) {
        for (finding, op) in visit.findings {
            if !self.findings.contains_key(&finding) {
                let path = self.path(parent).into_iter().cloned().chain([op]).collect();
                self.findings.insert(finding, path);
            }
        }
        let depth = self.nodes[parent].depth + 1;
        for (op, key) in visit.onward {
            if self.seen.insert(key) {
                self.nodes.push(Node { parent, op: Some(op), depth });
            }
        }
    }
}
