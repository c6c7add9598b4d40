//! `pincow rules table`.

use std::io::Write;
use std::process::ExitCode;

use pincow_mmu::rules::RuleSet;
use serde_json::{Map, Value, json};

use super::decisions::{LEGEND, ROWS, Row};
use super::sets::AboutSet;
use crate::cli::Outcome;
use crate::cli::output::Output;

/// Print the nine rule sets and what each decides.
///
/// Every answer in the table is asked of the same code that decides about real guests.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,

    /// Accepted, as by commands that run guests, and not needed.
    #[arg(long = "unsafe")]
    _allow_unsafe: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let mut out = Output::new();
    if args.json {
        out.json(&as_json())?;
    } else {
        out.text(write)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json() -> Value {
    let answers = |row: &Row| -> Map<String, Value> {
        RuleSet::ALL.iter().map(|set| (set.to_string(), row.answer(*set).into())).collect()
    };
    let decisions: Vec<_> = ROWS
        .iter()
        .map(|row| {
            json!({
                "event": row.event.heading(),
                "situation": row.situation,
                "answers": answers(row),
            })
        })
        .collect();
    json!({ "sets": RuleSet::ALL.map(AboutSet::of), "decisions": decisions })
}

fn write(to: &mut dyn Write) -> std::io::Result<()> {
    writeln!(to, "Rule sets (--rules):\n")?;
    for set in RuleSet::ALL {
        for line in AboutSet::of(set).lines() {
            writeln!(to, "{line}")?;
        }
    }
    let widest = ROWS.iter().map(|row| row.situation.len()).max().unwrap_or(0);
    let mut heading = "";
    for row in &ROWS {
        if row.event.heading() != heading {
            heading = row.event.heading();
            write!(to, "\n{heading:widest$}    ")?;
            line(to, |set| set.to_string())?;
        }
        write!(to, "  {:widest$}  ", row.situation)?;
        line(to, |set| row.answer(set).to_owned())?;
    }
    write!(to, "\n{LEGEND}")
}

/// The cells of one line, each as wide as the longest of its column.
fn line(to: &mut dyn Write, cell: impl Fn(RuleSet) -> String) -> std::io::Result<()> {
    let widest_answer = 7;
    let cells = RuleSet::ALL.map(|set| {
        let width = set.to_string().len().max(widest_answer);
        format!("{:width$}", cell(set))
    });
    writeln!(to, "{}", cells.join("  ").trim_end())
}
