//! One state: everything that could happen next.

use std::collections::BTreeMap;

use super::super::canonical::{Key, Plain, View};
use super::super::moves::moves_among;
use super::super::{Finding, Limits, Model, Op, Runner, Scope};
use crate::error::SpaceError;
use crate::rules::Rules;

/// What could happen in one state.
pub(super) struct Visit {
    /// The first operation that shows each kind of finding.
    pub(super) findings: BTreeMap<Finding, Op>,
    /// The operations that lead to other states, and where.
    pub(super) onward: Vec<(Op, Key)>,
}

/// Tries everything that could come after `path`. Where it leads is told unless it is `known`.
pub(super) fn visit(
    rules: Rules,
    limits: Limits,
    path: &[&Op],
    known: impl Fn(&Key) -> bool,
) -> Result<Visit, SpaceError> {
    let mut visit = Visit { findings: BTreeMap::new(), onward: Vec::new() };
    let mut here = Plain::default();
    let mut next: Option<std::vec::IntoIter<Op>> = None;
    loop {
        let mut model = Model::of(rules);
        let mut runner = Runner::new(&mut model)?;
        for op in path {
            runner.step(op)?;
        }
        let ops = next.get_or_insert_with(|| {
            here = View::of(&runner).plain();
            moves_among(&living(&runner), &known_names(path), limits).into_iter()
        });
        if !visit.onward_from(&mut runner, ops, &here, &known)? {
            return Ok(visit);
        }
    }
}

impl Visit {
    /// Does operation after operation for as long as the state, `here`, stays what it is; `false`
    /// when there is none left.
    fn onward_from(
        &mut self,
        runner: &mut Runner<'_, Model>,
        ops: &mut impl Iterator<Item = Op>,
        here: &Plain,
        known: impl Fn(&Key) -> bool,
    ) -> Result<bool, SpaceError> {
        for op in ops {
            runner.forget_findings();
            runner.step(&op)?;
            for &finding in runner.checker().findings() {
                self.findings.entry(finding).or_insert_with(|| op.clone());
            }
            let view = View::of(runner);
            if view.plain() != *here {
                let key = view.key();
                if !known(&key) {
                    self.onward.push((op, key));
                }
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The names that really live.
fn living(runner: &Runner<'_, Model>) -> Scope {
    Scope::of(
        runner.guests().map(|(name, _, _)| (name.clone(), runner.hold(name).is_some())),
        runner.pins().map(|(name, pin, _)| (name.clone(), pin.direction())),
    )
}

/// The names that live to a reader of the script, who does not know of refusals and drains.
fn known_names(path: &[&Op]) -> Scope {
    let mut scope = Scope::new();
    for op in path {
        let admitted = scope.admit(op);
        debug_assert!(admitted.is_ok(), "{op}: {admitted:?}");
    }
    scope
}
