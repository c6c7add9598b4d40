//! What a page has of each benchmark: plots, and a table.

use super::super::super::Failure;
use super::super::super::spread::Spread;
use super::input::{Run, Setting, misfit};
use super::lines::Lines;
use super::node::{Misfit, Node};
use super::rows::Rows;
use super::table::Table;

mod answers;
mod blk;
mod boot;
mod clone;
mod cow;
mod density;
mod fault;
mod fork;
mod fork_io;
mod pin;
#[cfg(test)]
pub(super) mod tests;

/// All that a page has of a benchmark.
#[derive(Debug)]
pub(super) struct Section {
    /// The benchmark's name.
    pub(super) bench: &'static str,
    /// What it measures.
    pub(super) title: &'static str,
    /// What that means, in a few sentences.
    pub(super) text: &'static str,
    /// How it was run, each way once.
    pub(super) settings: Vec<Setting>,
    pub(super) plots: Vec<Plot>,
    pub(super) table: Table,
    /// Cases for which the host had no room, in words.
    pub(super) refused: Vec<String>,
    /// Guests that did not hold what they should, in words.
    pub(super) violations: Vec<String>,
}

/// A plot.
#[derive(Debug)]
pub(super) enum Plot {
    Rows(Rows),
    Lines(Lines),
}

/// A run, and a name for it that the others of the same benchmark do not have.
struct Named<'a> {
    run: &'a Run,
    name: String,
}

/// What a benchmark came to.
struct Drawn {
    plots: Vec<Plot>,
    table: Table,
}

/// How the page shows a benchmark.
struct Bench {
    name: &'static str,
    title: &'static str,
    text: &'static str,
    draw: fn(&[Named<'_>]) -> Result<Drawn, Misfit>,
}

/// In the order of the page.
const BENCHES: [Bench; 9] = [
    boot::BENCH,
    clone::BENCH,
    fork::BENCH,
    fault::BENCH,
    cow::BENCH,
    fork_io::BENCH,
    blk::BENCH,
    pin::BENCH,
    density::BENCH,
];

/// A section for each benchmark that was run.
pub(super) fn sections(runs: &[Run]) -> Result<Vec<Section>, Failure> {
    for run in runs {
        if !BENCHES.iter().any(|bench| bench.name == run.bench) {
            return Err(misfit(run.unknown(&names())));
        }
    }
    let section = |bench: &Bench| {
        let of_bench: Vec<&Run> = runs.iter().filter(|run| run.bench == bench.name).collect();
        (!of_bench.is_empty()).then(|| section(bench, &of_bench).map_err(misfit))
    };
    BENCHES.iter().filter_map(section).collect()
}

fn names() -> String {
    BENCHES.map(|bench| bench.name).join(", ")
}

fn section(bench: &Bench, runs: &[&Run]) -> Result<Section, Misfit> {
    let named = named(runs);
    let Drawn { plots, table } = (bench.draw)(&named)?;
    let mut settings = Vec::new();
    for run in runs {
        if !settings.contains(&run.setting) {
            settings.push(run.setting.clone());
        }
    }
    let all = |of: fn(&Run) -> &[String]| {
        named.iter().flat_map(|named| of(named.run).iter().map(|what| named.said(what))).collect()
    };
    Ok(Section {
        bench: bench.name,
        title: bench.title,
        text: bench.text,
        settings,
        plots,
        table,
        refused: all(|run| &run.refused),
        violations: all(|run| &run.violations),
    })
}

/// Each run by its backing; by more where that does not tell them apart.
fn named<'a>(runs: &[&'a Run]) -> Vec<Named<'a>> {
    let differ = |of: &dyn Fn(&Setting) -> String| {
        runs.iter().any(|run| of(&run.setting) != of(&runs[0].setting))
    };
    let vcpus = |setting: &Setting| setting.vcpus.map_or(String::new(), |n| format!("{n} vCPU"));
    let rules = |setting: &Setting| setting.rules.clone();
    let (rules_differ, vcpus_differ) = (differ(&rules), differ(&vcpus));
    let mut named: Vec<Named<'a>> = Vec::new();
    for &run in runs {
        let mut words = vec![run.setting.backing.clone()];
        words.extend(rules_differ.then(|| rules(&run.setting)));
        words.extend(vcpus_differ.then(|| vcpus(&run.setting)).filter(|words| !words.is_empty()));
        let first = words.join(" ");
        let taken = |name: &str| named.iter().any(|other| other.name == name);
        let mut name = first.clone();
        for number in 2.. {
            if !taken(&name) {
                break;
            }
            name = format!("{first} ({number})");
        }
        named.push(Named { run, name });
    }
    named
}

impl Named<'_> {
    /// Who said something.
    fn said(&self, what: &str) -> String {
        format!("{}: {what}", self.name)
    }

    /// The name, and how many samples a case has.
    fn with_samples(&self, samples: &[f64]) -> String {
        format!("{} \u{b7} n {}", self.name, samples.len())
    }
}

/// The samples of pincow and of what it is compared with.
fn spread(samples: &[f64]) -> Spread {
    Spread::of_values(samples.iter().copied())
}

/// The text of an optional field, or nothing.
fn text_of(case: &Node<'_>, name: &str) -> Result<String, Misfit> {
    Ok(case.field(name)?.text()?.to_owned())
}
