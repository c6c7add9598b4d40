//! What could come next in a script.

use super::{Name, Op, ROOT, Scope};
use crate::rules::{Direction, Duration};

#[cfg(test)]
mod tests;

/// How far scripts go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Guests that live at a time.
    pub guests: usize,
    /// Pins that live at a time.
    pub pins: usize,
    /// There are pins that the rules do not know to be pins.
    pub uncounted: bool,
    /// There are host references that are no pins.
    pub holds: bool,
}

/// Every operation that `scope` admits within `limits`. New guests and pins get the first name
/// that is free, so that scripts which differ in names only are not listed twice.
#[must_use]
pub fn moves(scope: &Scope, limits: Limits) -> Vec<Op> {
    moves_among(scope, scope, limits)
}

/// The moves of those who live according to `scope`, in a script that introduced `names`: some of
/// these do not live, because their operation was refused or a drain took them, and still must not
/// be given to others.
pub(super) fn moves_among(scope: &Scope, names: &Scope, limits: Limits) -> Vec<Op> {
    let mut ops = Vec::new();
    let child = free_name([ROOT.to_owned()].into_iter().chain(numbered("C")), |name| {
        names.guests().any(|(taken, _)| taken == name)
    });
    let child = child.filter(|_| scope.guests().len() < limits.guests);
    let pin = free_name(numbered("p"), |name| names.pins().any(|(taken, _)| taken == name));
    let pin = pin.filter(|_| scope.pins().len() < limits.pins);
    for (guest, held) in scope.guests() {
        of_guest(guest, &mut ops);
        if held {
            ops.push(Op::Release(guest.clone()));
        } else if limits.holds {
            ops.push(Op::Hold(guest.clone()));
        }
        if let Some(child) = &child {
            ops.push(Op::Fork { parent: guest.clone(), child: child.clone() });
        }
        if let Some(pin) = &pin {
            pins_of(guest, pin, limits.uncounted, &mut ops);
        }
    }
    for (pin, direction) in scope.pins() {
        ops.extend([Op::DmaRead(pin.clone()), Op::Unpin(pin.clone())]);
        if direction == Direction::FromDevice {
            ops.push(Op::DmaWrite(pin.clone()));
        }
    }
    ops
}

/// What needs nothing but a guest.
fn of_guest(guest: &Name, ops: &mut Vec<Op>) {
    ops.extend(
        [Op::Write, Op::Read, Op::Destroy, Op::WriteProtect, Op::Evict].map(|op| op(guest.clone())),
    );
}

/// Every way in which `guest` could take `pin`.
fn pins_of(guest: &Name, pin: &Name, uncounted: bool, ops: &mut Vec<Op>) {
    for direction in [Direction::ToDevice, Direction::FromDevice] {
        for duration in [Duration::Short, Duration::Long] {
            for counted in [true, false] {
                if counted || uncounted {
                    let (guest, pin) = (guest.clone(), pin.clone());
                    ops.push(Op::Pin { guest, direction, duration, pin, counted });
                }
            }
        }
    }
}

fn numbered(letter: &str) -> impl Iterator<Item = Name> {
    (1_u32..).map(move |number| format!("{letter}{number}"))
}

fn free_name(mut names: impl Iterator<Item = Name>, taken: impl Fn(&Name) -> bool) -> Option<Name> {
    names.find(|name| !taken(name))
}
