//! From values to places on an axis.

#[cfg(test)]
mod tests;

/// From how many times the smallest value on the largest one makes the axis logarithmic.
const DECADE: f64 = 10.0;

/// More powers of ten than this are not all labelled.
const MOST_DECADES: i32 = 8;

/// About how many steps a linear axis has.
const STEPS: f64 = 6.0;

/// An axis: logarithmic where its values span a decade, else linear from 0.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    pub(super) is_log: bool,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    ticks: Vec<f64>,
}

impl Scale {
    /// An axis with room for all of `values` (finite, not negative), whose ends are at `from` and `to`.
    pub(super) fn over(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for value in values {
            (least, most) = (least.min(value), most.max(value));
        }
        let is_log = 0.0 < least && most >= least * DECADE;
        let ticks = if is_log { decades(least, most) } else { steps(most) };
        let (low, high) = (ticks[0], ticks[ticks.len() - 1]);
        Self { is_log, low, high, from, to, ticks }
    }

    /// Where a value is. What is not on the axis is at its end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        let part = match self.is_log {
            true => (value / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        self.from + part * (self.to - self.from)
    }

    /// The values to be labelled, the ends among them.
    pub(super) fn ticks(&self) -> &[f64] {
        &self.ticks
    }

    /// What the label of the axis says about it.
    pub(super) fn note(&self) -> &'static str {
        if self.is_log { ", logarithmic" } else { "" }
    }
}

/// 0, and steps of 1, 2 or 5 times a power of ten up to `most` or past it.
fn steps(most: f64) -> Vec<f64> {
    let most = if most > 0.0 { most } else { 1.0 };
    let step = rounded_up(most / STEPS);
    let count = (most / step - 1e-9).ceil().max(1.0) as u32;
    (0..=count).map(|at| f64::from(at) * step).collect()
}

/// 1, 2 and 5 times powers of ten, from at most `least` to at least `most`; only powers of ten where
/// those are too many, and not all of these where there are many.
fn decades(least: f64, most: f64) -> Vec<f64> {
    let (first, last) = (power_below(least), power_below(most) + 1);
    if last - first > 3 {
        let stride = (last - first).div_euclid(MOST_DECADES) + 1;
        let count = (last - first + stride - 1) / stride;
        return (0..=count).map(|at| 10_f64.powi(first + at * stride)).collect();
    }
    let all: Vec<f64> = (first..=last)
        .flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)))
        .collect();
    let begin = all.iter().rposition(|&tick| tick <= least).unwrap_or(0);
    let end = all.iter().position(|&tick| tick >= most).unwrap_or(all.len() - 1);
    all[begin..=end].to_vec()
}

/// The largest power of ten that is not above a value.
fn power_below(value: f64) -> i32 {
    let power = value.log10().floor() as i32;
    if 10_f64.powi(power) > value { power - 1 } else { power }
}

/// The least of 1, 2 and 5 times a power of ten that is not below a value.
fn rounded_up(value: f64) -> f64 {
    let unit = 10_f64.powi(power_below(value));
    let digits = [1.0, 2.0, 5.0, 10.0];
    let fits = digits.into_iter().find(|digit| digit * unit >= value * (1.0 - 1e-9));
    fits.unwrap_or(10.0) * unit
}
