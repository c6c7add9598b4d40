//! What a set of measured times comes to.

use std::time::Duration;

use serde::Serialize;

/// The middle and the slow end of measured values: of times, in microseconds where nothing else is
/// said.
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
        Self::of_values(samples.iter().map(|duration| duration.as_secs_f64() * 1e6))
    }

    /// The spread of values, to one digit after the point; zeros when there are none.
    pub(super) fn of_values(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        // The nearest-rank percentile.
        let rank = |percent: usize| (values.len() * percent).div_ceil(100).max(1) - 1;
        let at = |percent: usize| {
            let value = values.get(rank(percent)).copied().unwrap_or(0.0);
            (value * 10.0).round() / 10.0
        };
        Self { p50: at(50), p99: at(99) }
    }
}

/// The middle and the ends of measured values, the best and the worst of which are of interest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Range {
    /// Half of the values are no larger.
    pub(super) p50: f64,
    /// The smallest.
    pub(super) min: f64,
    /// The largest.
    pub(super) max: f64,
}

impl Range {
    /// The range of values, rounded to `digits` digits after the point; zeros when there are none.
    pub(super) fn of(values: impl IntoIterator<Item = f64>, digits: i32) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let unit = 10_f64.powi(digits);
        let at = |place: usize| (values.get(place).copied().unwrap_or(0.0) * unit).round() / unit;
        let last = values.len().saturating_sub(1);
        Self { p50: at(last / 2), min: at(0), max: at(last) }
    }
}
