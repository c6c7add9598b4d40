//! A page, read back: what a plot says at the places where it has its marks.

use roxmltree::{Document, Node, ParsingOptions};

/// The page as XML. It is well-formed, or this panics.
pub(super) fn parsed(page: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(page, options).expect("well-formed")
}

/// The drawing whose name begins with `name`.
pub(super) fn drawing<'a, 'input>(page: &'a Document<'input>, name: &str) -> Node<'a, 'input> {
    let named = |node: &Node<'_, '_>| {
        node.has_tag_name("svg") && node.attribute("aria-label").unwrap().starts_with(name)
    };
    page.descendants().find(named).unwrap_or_else(|| panic!("no drawing `{name}`"))
}

/// All below `node` of a class.
pub(super) fn of_class<'a, 'input>(
    node: Node<'a, 'input>,
    class: &str,
) -> impl Iterator<Item = Node<'a, 'input>> {
    let words: Vec<String> = class.split(' ').map(str::to_owned).collect();
    node.descendants().filter(move |node| {
        let found = node.attribute("class").unwrap_or_default();
        words.iter().all(|word| found.split(' ').any(|found| found == word))
    })
}

pub(super) fn number(node: Node<'_, '_>, attribute: &str) -> f64 {
    node.attribute(attribute).expect(attribute).parse().expect("a number")
}

/// An axis, as its labels tell it.
pub(super) struct Axis {
    is_log: bool,
    /// Places and values of its ends.
    ends: [(f64, f64); 2],
}

impl Axis {
    /// The axis of `drawing` whose places are in the attribute `way`, with every label where it
    /// should be between the two ends.
    pub(super) fn of(drawing: Node<'_, '_>, way: &str) -> Self {
        let label = |node: Node<'_, '_>| {
            let value = node.text().unwrap().replace(',', "").parse().expect("a number");
            let centred = if way == "y" { 4.0 } else { 0.0 };
            (number(node, way) - centred, value)
        };
        let labels: Vec<(f64, f64)> =
            of_class(drawing, &format!("tick {way}")).map(label).collect();
        assert!(labels.len() >= 2, "an axis needs labels");
        let is_log =
            of_class(drawing, "axis").any(|node| node.text().unwrap().contains("logarithmic"));
        let axis = Self { is_log, ends: [labels[0], labels[labels.len() - 1]] };
        for (place, value) in labels {
            let found = axis.value(place);
            assert!((found - value).abs() <= value.abs() * 0.01 + 1e-6, "{value} is at {found}");
        }
        axis
    }

    /// The value at a place.
    pub(super) fn value(&self, place: f64) -> f64 {
        let [(from, low), (to, high)] = self.ends;
        let part = (place - from) / (to - from);
        match self.is_log {
            true => low * (high / low).powf(part),
            false => low + part * (high - low),
        }
    }
}

/// The values at which a plot of distributions has its marks of a class, track by track.
pub(super) fn marks(drawing: Node<'_, '_>, class: &str) -> Vec<f64> {
    let axis = Axis::of(drawing, "x");
    let mark = |track| of_class(track, class).next().map(|mark| axis.value(number(mark, "x1")));
    of_class(drawing, "track").filter_map(mark).collect()
}

/// Whether values are the expected ones, to the tenth of a place that a page has.
pub(super) fn are(found: &[f64], expected: &[f64]) -> bool {
    found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, value)| (found - value).abs() <= value * 0.01)
}
