//! What a benchmark says, to people and to machines.

use std::time::Duration;

use serde::Serialize;

use super::super::Failure;
use super::super::output::Output;
use super::super::spread::Spread;
use super::Setting;
use super::machine::{Machine, command_line};

/// A benchmark that is done: one object for a machine, a table for people.
pub(super) struct Report {
    json: Option<serde_json::Value>,
    text: String,
    cases: usize,
    violations: Vec<String>,
    refused: Vec<String>,
}

/// The name of what `--json` prints.
pub(super) const FORMAT: &str = "pincow-bench";

/// Its version, which another meaning of a field that was there before makes another one.
pub(super) const VERSION: u32 = 1;

/// The object that `--json` prints.
#[derive(Serialize)]
struct Json<'a, C: Serialize> {
    format: &'a str,
    version: u32,
    bench: &'a str,
    command: String,
    machine: &'a Machine,
    rules: String,
    known_findings: &'a str,
    backing: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    vcpus: Option<u32>,
    violations: &'a [String],
    cases: &'a [C],
}

/// A case of a benchmark.
pub(super) trait Case: Serialize {
    /// The headings of its columns.
    const HEADINGS: &'static [&'static str];

    /// One cell per column.
    fn cells(&self) -> Vec<String>;
}

impl Report {
    /// The report on `cases` of the benchmark `bench`, which found `violations`.
    pub(super) fn new<C: Case>(
        bench: &str,
        setting: &Setting<'_>,
        notes: &str,
        cases: &[C],
        violations: Vec<String>,
    ) -> Self {
        let (machine, command) = (Machine::this(), command_line());
        let Setting { rulings, vcpus } = *setting;
        let backing = rulings.rules.backing().to_string();
        let known_findings = rulings.rules.known_findings();
        let rules = rulings.rules.set.to_string();
        let vcpu = vcpus.map_or_else(String::new, |vcpus| format!(", {vcpus} vCPU"));
        let mut text =
            format!("{command}\n{machine}; rules {rules}, backing {backing}{vcpu}; {notes}\n\n");
        if !known_findings.is_empty() {
            text.push_str(&format!("known against these rules: {known_findings}\n\n"));
        }
        text.push_str(&table(cases));
        let json = rulings.json.then(|| {
            let violations = violations.as_slice();
            let machine = &machine;
            serde_json::json!(Json {
                format: FORMAT,
                version: VERSION,
                bench,
                command,
                machine,
                rules,
                known_findings,
                backing,
                vcpus,
                violations,
                cases
            })
        });
        Self { json, text, cases: cases.len(), violations, refused: Vec::new() }
    }

    /// Adds the cases for which the host had no room, in words.
    pub(super) fn with_refused(mut self, refused: Vec<String>) -> Self {
        if let Some(json) = &mut self.json {
            json["refused"] = refused.clone().into();
        }
        self.refused = refused;
        self
    }

    /// Adds what was measured beside the cases, under a name for machines and in words for people.
    pub(super) fn with(mut self, name: &str, value: &impl Serialize, text: Option<String>) -> Self {
        if let Some(json) = &mut self.json {
            json[name] = serde_json::json!(value);
        }
        self.text.extend(text.map(|text| format!("\n{text}\n")));
        self
    }

    /// Whether every guest held what it should, and anything was measured.
    pub(super) fn is_well(&self) -> bool {
        self.violations.is_empty() && self.cases > 0
    }

    /// Prints it to stdout.
    pub(super) fn print(&self) -> Result<(), Failure> {
        let mut output = Output::new();
        let Some(json) = &self.json else {
            return output.text(|to| {
                write!(to, "{}", self.text)?;
                self.refused.iter().try_for_each(|what| writeln!(to, "refused: {what}"))?;
                self.violations.iter().try_for_each(|what| writeln!(to, "VIOLATION {what}"))
            });
        };
        output.json(json)
    }

    /// What `--json` prints.
    #[cfg(test)]
    pub(super) fn json(&self) -> Option<&serde_json::Value> {
        self.json.as_ref()
    }

    /// What people read.
    #[cfg(test)]
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// Columns as wide as they need, all but the first aligned to the right.
fn table<C: Case>(cases: &[C]) -> String {
    let headings = C::HEADINGS.iter().map(|&heading| heading.to_owned()).collect();
    let rows: Vec<Vec<String>> =
        std::iter::once(headings).chain(cases.iter().map(Case::cells)).collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.len()).max().unwrap_or(0)
    };
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(column, cell)| match column {
            0 => format!("{cell:<width$}", width = width(column)),
            _ => format!("{cell:>width$}", width = width(column)),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// How many times the floor something took; to two digits after the point. 0 where the floor is 0.
pub(super) fn ratio(ours: f64, floor: f64) -> f64 {
    if floor > 0.0 { (ours / floor * 100.0).round() / 100.0 } else { 0.0 }
}

/// Both percentiles, as a table has them.
pub(super) fn micros(spread: Spread) -> [String; 2] {
    let digits = if spread.p50 < 100.0 { 1 } else { 0 };
    [spread.p50, spread.p99].map(|value| format!("{value:.digits$}"))
}

/// Samples to one digit after the point, as a report has them.
pub(super) fn tenths(samples: &[f64]) -> Vec<f64> {
    samples.iter().map(|sample| (sample * 10.0).round() / 10.0).collect()
}

/// Times in microseconds, to one digit after the point, as a report has them.
pub(super) fn tenths_of_us(samples: &[Duration]) -> Vec<f64> {
    let micros: Vec<f64> = samples.iter().map(|sample| sample.as_secs_f64() * 1e6).collect();
    tenths(&micros)
}
