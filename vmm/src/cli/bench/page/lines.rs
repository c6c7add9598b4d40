//! A measure by a size: a panel for each kind, in it a line for each of those that took turns.

use super::scale::Scale;
use super::svg::{Anchor, Svg};
use super::text::figures;

/// Where things are, in units of the drawing.
const WIDTH: f64 = 430.0;
const HEIGHT: f64 = 304.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 404.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 254.0;

/// What is nearer than this to something that has a label has none.
const LABEL: f64 = 46.0;

/// Panels with the same axes.
#[derive(Debug)]
pub(super) struct Lines {
    /// What is shown.
    pub(super) title: &'static str,
    /// What the axis of sizes has.
    pub(super) x_axis: &'static str,
    /// Whether twice as much is always as far to the right.
    pub(super) x_is_log: bool,
    /// What the axis of measures has, and its unit.
    pub(super) y_axis: &'static str,
    /// What the lines are: first pincow, then what it is compared with.
    pub(super) lines: &'static [&'static str],
    /// The kinds.
    pub(super) panels: Vec<Panel>,
}

/// A kind.
#[derive(Debug)]
pub(super) struct Panel {
    /// Which one.
    pub(super) title: String,
    /// What was measured, by size.
    pub(super) points: Vec<Point>,
}

/// What was measured at a size.
#[derive(Debug)]
pub(super) struct Point {
    /// The size.
    pub(super) x: f64,
    /// The size, as people write it.
    pub(super) label: String,
    /// A measure for each line that the plot has, in its order; `None` where there is none.
    pub(super) measures: Vec<Option<Measure>>,
    /// How many times the first of those that it is compared with pincow is.
    pub(super) ratio: Option<f64>,
}

/// A measure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    /// The middle.
    pub(super) p50: f64,
    /// The slow end, where there is one.
    pub(super) p99: Option<f64>,
}

impl Lines {
    /// The number and the name of each line that has anything.
    pub(super) fn keys(&self) -> Vec<(usize, &'static str)> {
        let points = self.panels.iter().flat_map(|panel| &panel.points);
        let is_there = |line: usize| {
            points.clone().any(|point| point.measures.get(line).is_some_and(Option::is_some))
        };
        self.lines.iter().copied().enumerate().filter(|&(line, _)| is_there(line)).collect()
    }

    /// A drawing for each panel.
    pub(super) fn svgs(&self) -> Vec<String> {
        let points = || self.panels.iter().flat_map(|panel| &panel.points);
        let measures = points().flat_map(|point| point.measures.iter().flatten());
        let values = measures.flat_map(|measure| [Some(measure.p50), measure.p99]);
        let y = Scale::over(values.flatten(), BOTTOM, TOP);
        let x = Sizes::of(points().map(|point| point.x), self.x_is_log);
        self.panels.iter().map(|panel| self.panel(panel, &x, &y)).collect()
    }

    fn panel(&self, panel: &Panel, x: &Sizes, y: &Scale) -> String {
        let mut svg = Svg::new((WIDTH, HEIGHT), &format!("{}: {}", self.title, panel.title));
        svg.text("label", (0.0, 14.0), Anchor::Start, &panel.title);
        for &tick in y.ticks() {
            let at = y.at(tick);
            svg.line("grid", (LEFT, at), (RIGHT, at));
            svg.text("tick y", (LEFT - 8.0, at + 4.0), Anchor::End, &figures(tick));
        }
        let mut points: Vec<&Point> = panel.points.iter().collect();
        points.sort_by(|one, other| one.x.total_cmp(&other.x));
        for point in &points {
            let at = x.at(point.x);
            svg.line("grid", (at, BOTTOM), (at, BOTTOM + 4.0));
        }
        for point in with_room(&points, x) {
            let below = (x.at(point.x), BOTTOM + 18.0);
            svg.text("tick x", below, Anchor::Middle, &point.label);
        }
        svg.text("axis", (f64::midpoint(LEFT, RIGHT), BOTTOM + 40.0), Anchor::Middle, self.x_axis);
        let unit = format!("{}{}", self.y_axis, y.note());
        svg.text("axis", (0.0, 31.0), Anchor::Start, &unit);
        // pincow last, over the others.
        for (line, name) in self.lines.iter().enumerate().rev() {
            draw(&mut svg, &points, line, name, x, y);
        }
        svg.finish()
    }
}

/// Draws the line number `line` through its points, with the ratio at those of the first.
fn draw(svg: &mut Svg, points: &[&Point], line: usize, name: &str, x: &Sizes, y: &Scale) {
    let measured = |point: &&Point| {
        let measure = (*point.measures.get(line)?)?;
        Some((x.at(point.x), measure))
    };
    let places: Vec<_> = points.iter().filter_map(measured).collect();
    if places.is_empty() {
        return;
    }
    svg.begin(&format!("track t{line}"), name);
    for pair in places.windows(2) {
        let [from, to] = [pair[0], pair[1]].map(|(x, measure)| (x, y.at(measure.p50)));
        svg.line("through", from, to);
    }
    for &(x, Measure { p50, p99 }) in &places {
        if let Some(p99) = p99 {
            svg.line("whisker", (x, y.at(p50)), (x, y.at(p99)));
        }
        svg.dot("p50", (x, y.at(p50)));
    }
    if line == 0 {
        for point in with_room(points, x) {
            if let (Some((x, measure)), Some(ratio)) = (measured(&point), point.ratio) {
                let above = (y.at(measure.p99.unwrap_or(measure.p50)) - 7.0).max(TOP - 4.0);
                svg.text("ratio", (x, above), Anchor::Middle, &format!("{ratio:.2} \u{d7}"));
            }
        }
    }
    svg.end();
}

/// Those beside which there is room for a label, the largest size first.
fn with_room<'a>(points: &[&'a Point], x: &Sizes) -> Vec<&'a Point> {
    let mut chosen: Vec<&Point> = Vec::new();
    for &point in points.iter().rev() {
        if chosen.last().is_none_or(|last| x.at(last.x) - x.at(point.x) >= LABEL) {
            chosen.push(point);
        }
    }
    chosen.reverse();
    chosen
}

/// The axis of sizes, from the least to the largest.
struct Sizes {
    is_log: bool,
    least: f64,
    most: f64,
}

impl Sizes {
    fn of(sizes: impl Iterator<Item = f64>, is_log: bool) -> Self {
        let scaled = sizes.map(|size| Self::scaled(size, is_log));
        let (least, most) = scaled.fold((f64::INFINITY, 0.0_f64), |(least, most), size| {
            (least.min(size), most.max(size))
        });
        Self { is_log, least, most }
    }

    fn scaled(size: f64, is_log: bool) -> f64 {
        if is_log { size.max(1.0).log2() } else { size }
    }

    fn at(&self, size: f64) -> f64 {
        let (from, to) = (LEFT + 24.0, RIGHT - 24.0);
        let span = self.most - self.least;
        let size = Self::scaled(size, self.is_log);
        let part = if span > 0.0 { (size - self.least) / span } else { 0.5 };
        from + part * (to - from)
    }
}
