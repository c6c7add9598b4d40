//! The negative control: forks that ignore pins are seen by the workload.

use std::thread;
use std::time::{Duration, Instant};

use pincow_mmu::rules::RuleSet;
use pincow_mmu::scenario::Random;

use super::family::Family;
use super::lab::Lab;
use super::side::Side;
use super::storm::a_moment;
use super::verdict::WRONG;

/// Forks of one guest. One that has lost much is of no more use.
const FORKS: u64 = 6;

/// How long reads take at most: much longer than a fork and the faults that follow, so that the parent goes on
/// beside some, in the same pages, before they begin.
const SLOW: Duration = Duration::from_secs(8);

/// Many of the transfers in flight are slow reads by then.
const READY: Duration = Duration::from_secs(3);

/// What was in flight at the fork has been verified by then.
const ROUND: Duration = Duration::from_secs(12);

/// What the workload of one of several sides says of bytes that are wrong, within a while.
fn seen_by(sides: [&Side; 2]) -> Option<String> {
    let until = Instant::now() + ROUND;
    loop {
        for side in sides {
            let said = side.console.text();
            if let Some(wrong) = said.lines().find(|line| line.starts_with(WRONG)) {
                return Some(format!("guest {}: {wrong}", side.id));
            }
        }
        if Instant::now() > until || sides.iter().all(|side| side.ended().is_some()) {
            return None;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Forks a guest whose memory is shared whatever devices do with it, until its workload or that of a child sees
/// wrong bytes. Returns what it says.
///
/// A child carries its parent's transfers out again at once, on pages of its own: then nobody shares the parent's
/// any more. So there is a snapshot of each fork, too, which goes on sharing them.
pub(crate) fn what_is_seen(lab: &Lab, random: &mut Random) -> Option<String> {
    let (family, side) = Family::new(lab, RuleSet::Mapcount.into());
    family.pace.slow_reads(SLOW);
    for _ in 0..FORKS {
        thread::sleep(READY);
        a_moment(random);
        let forked = family.snapshot(&side).and_then(|()| {
            a_moment(random);
            family.fork(&side)
        });
        let (child, _) = match forked {
            Ok(forked) => forked,
            Err(error) => {
                println!("no more of this one: {error}\n{}", side.console.text());
                return None;
            }
        };
        if let Some(seen) = seen_by([&side, &child]) {
            return Some(seen);
        }
        family.kill(child);
    }
    None
}
