//! Drawings, element by element. Colours and fonts are the style sheet's, by class.

use std::fmt::{Arguments, Write};

use super::text::{escaped, place};

/// A drawing that is being made.
pub(super) struct Svg(String);

/// A point, from the left and from the top.
pub(super) type At = (f64, f64);

/// Which part of a text is at its point.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    /// An empty drawing of this size, with a name for those who cannot see it.
    pub(super) fn new((width, height): (f64, f64), name: &str) -> Self {
        let (width, height, name) = (place(width), place(height), escaped(name));
        Self(format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{name}\">\n"))
    }

    /// A straight line.
    pub(super) fn line(&mut self, class: &str, from: At, to: At) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(place);
        self.add(format_args!(
            "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>\n"
        ));
    }

    /// A filled circle.
    pub(super) fn dot(&mut self, class: &str, (x, y): At) {
        let (x, y) = (place(x), place(y));
        self.add(format_args!("<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"3.5\"/>\n"));
    }

    /// A line of text, which may be any.
    pub(super) fn text(&mut self, class: &str, (x, y): At, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let (x, y, text) = (place(x), place(y), escaped(text));
        self.add(format_args!(
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{text}</text>\n"
        ));
    }

    /// An outline, in the words of SVG paths.
    pub(super) fn path(&mut self, class: &str, outline: &str) {
        self.add(format_args!("<path class=\"{class}\" d=\"{outline}\"/>\n"));
    }

    /// What is drawn from here to [`Svg::end`] belongs together, and `title` says what it is.
    pub(super) fn begin(&mut self, class: &str, title: &str) {
        let title = escaped(title);
        self.add(format_args!("<g class=\"{class}\"><title>{title}</title>\n"));
    }

    /// The end of what [`Svg::begin`] began.
    pub(super) fn end(&mut self) {
        self.0.push_str("</g>\n");
    }

    /// The element.
    pub(super) fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }

    fn add(&mut self, element: Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.0.write_fmt(element);
    }
}
