//! What `pincow rules run` prints: a row for each scenario, rule set and place, and under `hostcow` how many
//! rows there could not be.

use pincow_mmu::rules::RuleSet;
use pincow_mmu::scenario::Script;
use serde::Serialize;

use super::choice::PlaceName;
use super::places::{LeftToHost, Shown};
use crate::cli::Failure;
use crate::cli::output::Output;
use crate::guest::BackingKind;

/// One row.
#[derive(Serialize)]
pub(super) struct Row<'a> {
    pub(super) scenario: &'a str,
    pub(super) rules: RuleSet,
    pub(super) on: PlaceName,
    /// Who answers first writes.
    #[serde(serialize_with = "as_text")]
    pub(super) backing: BackingKind,
    #[serde(flatten)]
    pub(super) shown: Shown,
}

/// How many rows there were, and what became of them.
#[derive(Default, Serialize)]
struct Tally {
    rows: u64,
    run: u64,
    not_expressible: u64,
    left_out: LeftOut,
}

/// Rows that the backing leaves to the host.
#[derive(Default, Serialize)]
struct LeftOut {
    rules: u64,
    write_protect: u64,
}

impl Tally {
    fn add(&mut self, shown: &Shown) {
        self.rows += 1;
        *match shown {
            Shown::Outcome { .. } => &mut self.run,
            Shown::Inexpressible { .. } => &mut self.not_expressible,
            Shown::LeftOut { what: LeftToHost::Rules, .. } => &mut self.left_out.rules,
            Shown::LeftOut { what: LeftToHost::Operation, .. } => &mut self.left_out.write_protect,
        } += 1;
    }
}

/// Prints rows as they come.
pub(super) struct Printer {
    out: Output,
    json: bool,
    widest: usize,
    backing: BackingKind,
    /// The heading comes with the first row: a command that cannot begin prints nothing.
    tally: Tally,
}

impl Printer {
    pub(super) fn new(json: bool, backing: BackingKind, scripts: &[Script]) -> Self {
        let ids = scripts.iter().map(|script| script.id.chars().count());
        let widest = ids.max().unwrap_or(0).max("scenario".len());
        Self { out: Output::new(), json, widest, backing, tally: Tally::default() }
    }

    pub(super) fn print(&mut self, row: &Row<'_>) -> Result<(), Failure> {
        self.tally.add(&row.shown);
        if self.json {
            return self.out.json(row);
        }
        if self.tally.rows == 1 {
            self.columns(["scenario", "rules", "on", "copies", "findings"])?;
        }
        let (copies, findings) = match &row.shown {
            Shown::Outcome { findings, copies } => {
                let names: Vec<_> = findings.iter().map(|finding| finding.name()).collect();
                let names = if names.is_empty() { "ok".to_owned() } else { names.join("+") };
                (copies.to_string(), names)
            }
            Shown::Inexpressible { not_expressible } => {
                ("-".to_owned(), format!("not expressible: {not_expressible}"))
            }
            Shown::LeftOut { left_out, .. } => ("-".to_owned(), format!("left out: {left_out}")),
        };
        let [rules, on] = [row.rules.to_string(), row.on.to_string()];
        self.columns([row.scenario, &rules, &on, &copies, &findings])
    }

    /// Says how many rows were left out, where that can be.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        if self.backing == BackingKind::Trap {
            return Ok(());
        }
        let (backing, tally) = (self.backing.to_string(), &self.tally);
        if self.json {
            return self.out.json(&serde_json::json!({ "backing": backing, "tally": tally }));
        }
        let Tally { rows, run, not_expressible, left_out: LeftOut { rules, write_protect } } =
            tally;
        self.out.text(|to| {
            writeln!(
                to,
                "\n{backing}: {run} of {rows} rows were run; left out: {rules} whose rules decide about \
                 each first write, {write_protect} that write-protect a page; not expressible: \
                 {not_expressible}"
            )
        })
    }

    fn columns(&mut self, cells: [&str; 5]) -> Result<(), Failure> {
        let ([scenario, rules, on, copies, findings], widest) = (cells, self.widest);
        self.out.text(|to| {
            writeln!(to, "{scenario:widest$}  {rules:15}  {on:6}  {copies:>6}  {findings}")
        })
    }
}

fn as_text<S: serde::Serializer>(backing: &BackingKind, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(backing)
}
