//! The page, and the same tables in Markdown.

use super::input::Setting;
use super::sections::{Plot, Section};
use super::text::{escaped, in_markdown, plain};

const STYLE: &str = include_str!("style.css");

const HOW_TO_READ: &str = "pincow and what it is compared with took turns in one run, on one machine. \
    A hill shows where the samples are; the line over it is the median (p50), the shorter one the \
    99th percentile (p99). A ratio is the median of pincow over the median of the track that it \
    stands at. Compare ratios, never absolute times of different machines.";

/// One page that needs nothing else: no network, no scripts. It is well-formed XML too.
pub(super) fn page(sections: &[Section], missing: &[String]) -> String {
    let toc: String = sections
        .iter()
        .map(|section| format!("<a href=\"#{0}\">{1}</a>\n", section.bench, escaped(section.title)))
        .collect();
    let body: String = sections.iter().map(of_section).collect();
    let alarm = alarm(sections, missing);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>pincow: benchmarks</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n\
         <h1>pincow: benchmarks</h1>\n<p>{HOW_TO_READ}</p>\n<nav>\n{toc}</nav>\n</header>\n{alarm}\
         <main>\n{body}</main>\n</body>\n</html>\n"
    )
}

/// What somebody should know before any number.
fn alarm(sections: &[Section], missing: &[String]) -> String {
    let wrong = sections.iter().flat_map(|section| {
        let said = |what: &String| format!("{}: VIOLATION {what}", section.bench);
        section.violations.iter().map(said)
    });
    let lines: Vec<String> = wrong.chain(missing.iter().cloned()).collect();
    if lines.is_empty() {
        return String::new();
    }
    let items: String = lines.iter().map(|line| format!("<li>{}</li>\n", escaped(line))).collect();
    format!("<section class=\"alarm\">\n<h2>Not all is well</h2>\n<ul>\n{items}</ul>\n</section>\n")
}

fn of_section(section: &Section) -> String {
    let Section { bench, .. } = section;
    let (title, text) = (escaped(section.title), escaped(section.text));
    let settings: String = section.settings.iter().map(of_setting).collect();
    let plots: String = section.plots.iter().map(of_plot).collect();
    let refused: String = section
        .refused
        .iter()
        .map(|what| format!("<p class=\"refused\">refused: {}</p>\n", escaped(what)))
        .collect();
    let table = section.table.html();
    let source = escaped_lines(&markdown_of(section));
    format!(
        "<section id=\"{bench}\">\n<h2>{title}</h2>\n<p>{text}</p>\n{settings}{plots}{refused}\
         <div class=\"wide\">\n{table}</div>\n<details><summary>the same in Markdown</summary>\n\
         <pre>{source}</pre>\n</details>\n</section>\n"
    )
}

fn of_setting(setting: &Setting) -> String {
    let (command, words) = (escaped(&setting.command), escaped(&words_of(setting)));
    format!("<p class=\"setting\"><code>{command}</code><br/>\n{words}</p>\n")
}

/// On what, and under which rules.
fn words_of(setting: &Setting) -> String {
    let Setting { machine, rules, backing, known_findings, .. } = setting;
    let vcpus = setting.vcpus.map_or_else(String::new, |vcpus| format!(", {vcpus} vCPU"));
    let known = match known_findings.as_str() {
        "" => String::new(),
        known => format!("; known against these rules: {known}"),
    };
    format!("{machine}; rules {rules}, backing {backing}{vcpus}{known}")
}

fn of_plot(plot: &Plot) -> String {
    let (title, keys, class, drawings) = match plot {
        Plot::Rows(rows) => (rows.title, rows.keys(), "wide", vec![rows.svg()]),
        Plot::Lines(lines) => (lines.title, lines.keys(), "panels", lines.svgs()),
    };
    if keys.is_empty() {
        // All cases were refused.
        return String::new();
    }
    let key = |&(at, name): &(usize, &str)| {
        format!("<span class=\"key t{at}\">{}</span>\n", escaped(name))
    };
    let keys: String = keys.iter().map(key).collect();
    format!(
        "<figure>\n<figcaption>{}</figcaption>\n<div class=\"keys\">{keys}</div>\n\
         <div class=\"{class}\">\n{}</div>\n</figure>\n",
        escaped(title),
        drawings.concat()
    )
}

/// The same tables, ready for a README.
pub(super) fn markdown(sections: &[Section], missing: &[String]) -> String {
    let mut text: String = sections.iter().map(|section| markdown_of(section) + "\n").collect();
    for what in missing {
        text += &format!("Not measured: {}\n\n", in_markdown(what));
    }
    text
}

fn markdown_of(section: &Section) -> String {
    let mut text = format!("### {}\n\n", in_markdown(section.title));
    text += &format!("{}\n\n", in_markdown(section.text));
    for setting in &section.settings {
        let (command, words) = (plain(&setting.command), in_markdown(&words_of(setting)));
        text += &format!("```console\n$ {command}\n```\n\n{words}.\n\n");
    }
    text += &section.table.markdown();
    let told = [("refused", &section.refused), ("VIOLATION", &section.violations)];
    for (word, lines) in told {
        for line in lines {
            text += &format!("\n{word}: {}\n", in_markdown(line));
        }
    }
    text
}

fn escaped_lines(text: &str) -> String {
    text.lines().map(|line| escaped(line) + "\n").collect()
}
