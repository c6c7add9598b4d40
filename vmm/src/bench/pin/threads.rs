//! Threads that do the same at the same time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::BenchError;

/// Whether the threads ran at the same time, for nine tenths of the time of the fastest: on a machine
/// that has other things to do they may have run one after the other.
pub(super) fn overlap(spans: &[(Instant, Instant)]) -> bool {
    let last_begun = spans.iter().map(|(begun, _)| *begun).max();
    let first_ended = spans.iter().map(|(_, ended)| *ended).min();
    let shortest = spans.iter().map(|(begun, ended)| *ended - *begun).min();
    match (last_begun, first_ended, shortest) {
        (Some(begun), Some(ended), Some(shortest)) => {
            ended.saturating_duration_since(begun) >= shortest.mul_f64(0.9)
        }
        _ => true,
    }
}

/// Has one thread for each place do `work` so many times, all of them beginning when the last is
/// running. When each began and ended.
pub(super) fn side_by_side<T: Sync>(
    places: &[T],
    times: u32,
    work: impl Fn(&T) -> Result<(), BenchError> + Sync,
) -> Result<Vec<(Instant, Instant)>, BenchError> {
    let ready = AtomicUsize::new(0);
    let timed = |place: &T| {
        ready.fetch_add(1, Ordering::AcqRel);
        // Without sleeping: who sleeps begins late.
        while ready.load(Ordering::Acquire) < places.len() {
            std::hint::spin_loop();
        }
        let begun = Instant::now();
        (0..times).try_for_each(|_| work(place))?;
        Ok((begun, Instant::now()))
    };
    std::thread::scope(|scope| {
        let timed = &timed;
        let threads: Vec<_> =
            places[1..].iter().map(|place| scope.spawn(move || timed(place))).collect();
        let first = timed(&places[0]);
        let others = threads.into_iter().map(|thread| match thread.join() {
            Ok(time) => time,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        std::iter::once(first).chain(others).collect()
    })
}
