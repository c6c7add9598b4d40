//! What a set of measured times comes to.

use std::time::Duration;

use serde::Serialize;

/// The middle and the slow end of measured times, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Spread {
    /// Half of the samples took no longer.
    pub(super) p50: f64,
    /// 99 of 100 samples took no longer.
    pub(super) p99: f64,
}

impl Spread {
    /// The spread of `samples`; zeros when there are none.
    pub(super) fn of(samples: &[Duration]) -> Self {
        let mut micros: Vec<f64> = samples.iter().map(|d| d.as_secs_f64() * 1e6).collect();
        micros.sort_by(f64::total_cmp);
        // The nearest-rank percentile.
        let rank = |percent: usize| (micros.len() * percent).div_ceil(100).max(1) - 1;
        let at = |percent: usize| {
            let value = micros.get(rank(percent)).copied().unwrap_or(0.0);
            (value * 10.0).round() / 10.0
        };
        Self { p50: at(50), p99: at(99) }
    }
}
