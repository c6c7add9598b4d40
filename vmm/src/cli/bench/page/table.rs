//! A table, for the page and for Markdown.

use super::text::{escaped, in_markdown};

#[cfg(test)]
mod tests;

/// What was measured, in figures. The cells of its first columns are words, those of the rest numbers.
#[derive(Debug)]
pub(super) struct Table {
    words: usize,
    headings: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table, the first `words` columns of which have words.
    pub(super) fn new(words: usize, headings: &'static [&'static str]) -> Self {
        Self { words, headings, rows: Vec::new() }
    }

    /// Adds a row, with a cell for each heading.
    pub(super) fn push(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.headings.len());
        self.rows.push(cells);
    }

    /// As an element of a page.
    pub(super) fn html(&self) -> String {
        let cell = |tag: &str, at: usize, text: &str| {
            let class = if at < self.words { " class=\"word\"" } else { "" };
            format!("<{tag}{class}>{}</{tag}>", escaped(text))
        };
        let line = |tag: &str, cells: &mut dyn Iterator<Item = &str>| {
            let cells = cells.enumerate().map(|(at, text)| cell(tag, at, text));
            format!("<tr>{}</tr>\n", cells.collect::<String>())
        };
        let head = line("th", &mut self.headings.iter().copied());
        let rows = self.rows.iter().map(|row| line("td", &mut row.iter().map(String::as_str)));
        let rows: String = rows.collect();
        format!("<table>\n<thead>{head}</thead>\n<tbody>\n{rows}</tbody>\n</table>\n")
    }

    /// As Markdown.
    pub(super) fn markdown(&self) -> String {
        let line = |cells: &mut dyn Iterator<Item = String>| {
            format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        let rule = |at: usize| if at < self.words { "---" } else { "---:" }.to_owned();
        let mut text = line(&mut self.headings.iter().map(|&heading| heading.to_owned()));
        text += &line(&mut (0..self.headings.len()).map(rule));
        for row in &self.rows {
            text += &line(&mut row.iter().map(|cell| in_markdown(cell)));
        }
        text
    }
}
