//! Distributions side by side: a row for each case, and in it a track for each of those that took turns.

use super::super::super::spread::Spread;
use super::scale::Scale;
use super::svg::{Anchor, Svg};
use super::text::{figures, place};

/// Where things are, in units of the drawing.
const WIDTH: f64 = 880.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 716.0;
const P50_END: f64 = 796.0;
const RATIO_END: f64 = 878.0;
const TOP: f64 = 26.0;
const TRACK: f64 = 19.0;
const GAP: f64 = 14.0;
const HILL: f64 = 15.0;
const BIN: f64 = 3.0;
const AXIS: f64 = 42.0;
/// About the width of a figure.
const FIGURE: f64 = 7.0;

/// A plot of distributions on one axis.
#[derive(Debug)]
pub(super) struct Rows {
    /// What is shown.
    pub(super) title: &'static str,
    /// What the axis has, and its unit.
    pub(super) axis: &'static str,
    /// What the tracks are: first pincow, then what it is compared with.
    pub(super) tracks: &'static [&'static str],
    /// The cases.
    pub(super) rows: Vec<Row>,
}

/// A case.
#[derive(Debug)]
pub(super) struct Row {
    /// Which one.
    pub(super) label: String,
    /// How it was run.
    pub(super) detail: String,
    /// A track for each that the plot has, in its order; `None` where it was not measured.
    pub(super) tracks: Vec<Option<Track>>,
}

/// The samples of one of those that are compared.
#[derive(Debug)]
pub(super) struct Track {
    /// Never empty.
    pub(super) samples: Vec<f64>,
    /// How many times this pincow is.
    pub(super) ratio: Option<f64>,
}

impl Rows {
    /// The number and the name of each track that has anything.
    pub(super) fn keys(&self) -> Vec<(usize, &'static str)> {
        let is_there = |track: usize| {
            self.rows.iter().any(|row| row.tracks.get(track).is_some_and(Option::is_some))
        };
        self.tracks.iter().copied().enumerate().filter(|&(track, _)| is_there(track)).collect()
    }

    /// A drawing.
    pub(super) fn svg(&self) -> String {
        let samples = self.rows.iter().flat_map(|row| row.tracks.iter().flatten());
        let samples = samples.flat_map(|track| track.samples.iter().copied());
        let scale = Scale::over(samples, LEFT, RIGHT);
        let row_height = self.tracks.len() as f64 * TRACK + GAP;
        let bottom = TOP + self.rows.len() as f64 * row_height;
        let mut svg = Svg::new((WIDTH, bottom + AXIS), self.title);
        self.axis(&mut svg, &scale, bottom);
        for (at, row) in self.rows.iter().enumerate() {
            self.row(&mut svg, &scale, row, TOP + at as f64 * row_height);
        }
        svg.finish()
    }

    fn axis(&self, svg: &mut Svg, scale: &Scale, bottom: f64) {
        // A label that would touch the one to its right is left out.
        let mut free = f64::INFINITY;
        for &tick in scale.ticks().iter().rev() {
            let (x, text) = (scale.at(tick), figures(tick));
            svg.line("grid", (x, TOP), (x, bottom));
            let half = text.len() as f64 * FIGURE / 2.0;
            if x + half < free {
                svg.text("tick x", (x, bottom + 15.0), Anchor::Middle, &text);
                free = x - half - FIGURE;
            }
        }
        let below = (f64::midpoint(LEFT, RIGHT), bottom + 35.0);
        svg.text("axis", below, Anchor::Middle, &format!("{}{}", self.axis, scale.note()));
        svg.text("head", (P50_END, 14.0), Anchor::End, "p50");
        svg.text("head", (RATIO_END, 14.0), Anchor::End, "ratio");
    }

    fn row(&self, svg: &mut Svg, scale: &Scale, row: &Row, top: f64) {
        svg.begin("row", &format!("{}, {}", row.label, row.detail));
        svg.text("label", (0.0, top + 15.0), Anchor::Start, &row.label);
        svg.text("detail", (0.0, top + 31.0), Anchor::Start, &row.detail);
        for (at, (track, name)) in row.tracks.iter().zip(self.tracks).enumerate() {
            if let Some(track) = track {
                track.draw(svg, scale, at, name, top + (at + 1) as f64 * TRACK);
            }
        }
        let below = top + self.tracks.len() as f64 * TRACK + GAP / 2.0;
        svg.line("rule", (0.0, below), (WIDTH, below));
        svg.end();
    }
}

impl Track {
    /// Draws it as the track number `at`, on a line at `base`.
    fn draw(&self, svg: &mut Svg, scale: &Scale, at: usize, name: &str, base: f64) {
        let spread = Spread::of_values(self.samples.iter().copied());
        let (p50, p99) = (figures(spread.p50), figures(spread.p99));
        let title = format!("{name}: p50 {p50}, p99 {p99}, n {}", self.samples.len());
        svg.begin(&format!("track t{at}"), &title);
        svg.path("hill", &self.hill(scale, base));
        let slow = scale.at(spread.p99);
        svg.line("p99", (slow, base - HILL * 0.6), (slow, base));
        let half = scale.at(spread.p50);
        svg.line("p50", (half, base - HILL), (half, base));
        svg.text("value", (P50_END, base - 3.0), Anchor::End, &p50);
        if let Some(ratio) = self.ratio {
            let ratio = format!("{ratio:.2} \u{d7}");
            svg.text("ratio", (RATIO_END, base - 3.0), Anchor::End, &ratio);
        }
        svg.end();
    }

    /// How many samples are where, as an outline; the highest place is as high as the track.
    fn hill(&self, scale: &Scale, base: f64) -> String {
        let bins = ((RIGHT - LEFT) / BIN) as usize;
        let mut counts = vec![0_usize; bins + 1];
        for &sample in &self.samples {
            counts[(((scale.at(sample) - LEFT) / BIN) as usize).min(bins)] += 1;
        }
        let most = counts.iter().copied().max().unwrap_or(1).max(1) as f64;
        let first = counts.iter().position(|&count| count > 0).unwrap_or(0);
        let last = counts.iter().rposition(|&count| count > 0).unwrap_or(0);
        let x = |bin: usize| place(LEFT + bin as f64 * BIN);
        let mut path = format!("M{} {}", x(first), place(base));
        let mut height = None;
        for (bin, &count) in counts.iter().enumerate().take(last + 1).skip(first) {
            if height != Some(count) {
                // A single sample of a thousand can still be seen.
                let high = if count == 0 { 0.0 } else { (HILL * count as f64 / most).max(1.5) };
                path += &format!("H{}V{}", x(bin), place(base - high));
                height = Some(count);
            }
        }
        path + &format!("H{}V{}Z", x(last + 1), place(base))
    }
}
