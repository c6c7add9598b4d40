//! What `pincow bench .. --json` printed, read back.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::super::super::Failure;
use super::super::report::{FORMAT, VERSION};
use super::node::{Misfit, Node};

#[cfg(test)]
mod tests;

/// A benchmark's output is some hundred KiB long. Longer files than this are something else.
const MOST_BYTES: u64 = 64 << 20;

/// One run of a benchmark.
#[derive(Debug)]
pub(super) struct Run {
    /// Where it comes from.
    file: String,
    /// What the benchmark printed.
    document: Value,
    /// Which benchmark.
    pub(super) bench: String,
    /// How it was run.
    pub(super) setting: Setting,
    /// Guests that did not hold what they should, in words.
    pub(super) violations: Vec<String>,
    /// Cases for which the host had no room, in words.
    pub(super) refused: Vec<String>,
}

/// How a benchmark was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) command: String,
    pub(super) machine: String,
    pub(super) rules: String,
    pub(super) known_findings: String,
    pub(super) backing: String,
    /// `None` where no guest ran.
    pub(super) vcpus: Option<u64>,
}

impl Run {
    /// What the benchmark measured.
    pub(super) fn cases(&self) -> Result<Vec<Node<'_>>, Misfit> {
        Node::root(&self.document, &self.file).field("cases")?.items()
    }

    /// The error that there is no such benchmark among those that are `known`.
    pub(super) fn unknown(&self, known: &str) -> Misfit {
        let what = format!("the page can show {known}, and not `{}`", self.bench);
        Node::root(&self.document, &self.file).misfit(what)
    }

    /// A run from what it printed.
    fn of(document: Value, file: &str) -> Result<Self, Misfit> {
        let node = Node::root(&document, file);
        let ours = node.maybe("format").is_some_and(|format| format.text() == Ok(FORMAT));
        if !ours {
            return Err(node.misfit(format!(
                "not what `pincow bench .. --json` prints: there is no \"format\": \"{FORMAT}\""
            )));
        }
        let version = node.field("version")?;
        match version.count()? {
            found if found == u64::from(VERSION) => {}
            found => {
                return Err(version.misfit(format!(
                    "version {found}, and this pincow reads {VERSION}: use the pincow that \
                     measured it, or measure again"
                )));
            }
        }
        let machine = node.field("machine")?;
        let text = |name: &str| Ok(node.field(name)?.text()?.to_owned());
        let list = |name: &str| node.maybe(name).map_or(Ok(Vec::new()), |list| list.texts());
        let setting = Setting {
            command: text("command")?,
            machine: format!(
                "{}, {} cores, Linux {}",
                machine.field("cpu")?.text()?,
                machine.field("cores")?.count()?,
                machine.field("kernel")?.text()?
            ),
            rules: text("rules")?,
            known_findings: text("known_findings")?,
            backing: text("backing")?,
            vcpus: node.maybe("vcpus").map(|vcpus| vcpus.count()).transpose()?,
        };
        let (bench, violations, refused) = (text("bench")?, list("violations")?, list("refused")?);
        let run = Self { file: file.to_owned(), bench, setting, violations, refused, document };
        if run.cases()?.is_empty() && run.refused.is_empty() {
            return Err(Node::root(&run.document, file).field("cases")?.misfit("there are none"));
        }
        Ok(run)
    }
}

/// The runs in some text: one or several documents. `file` is where it comes from.
pub(super) fn parse(text: &str, file: &str) -> Result<Vec<Run>, Failure> {
    let mut runs = Vec::new();
    for document in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let document = document.map_err(|error| {
            Failure::Other(format!(
                "{file}: not a whole JSON document: {error}; it should be what \
                 `pincow bench .. --json` printed"
            ))
        })?;
        runs.push(Run::of(document, file).map_err(misfit)?);
    }
    match runs.is_empty() {
        true => Err(Failure::Other(format!("{file}: there is nothing in it"))),
        false => Ok(runs),
    }
}

/// The runs in a file.
pub(super) fn read(path: &Path) -> Result<Vec<Run>, Failure> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Failure::file(path))?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(Failure::file(path))?;
    let file = path.display().to_string();
    if bytes.len() as u64 > MOST_BYTES {
        let most = MOST_BYTES >> 20;
        return Err(Failure::Other(format!(
            "{file}: longer than {most} MiB, which nothing is that `pincow bench .. --json` prints"
        )));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::Other(format!("{file}: not JSON: the byte at {at:#x} is not UTF-8"))
    })?;
    parse(&text, &file)
}

/// A value that is not what it should be is bad input.
pub(super) fn misfit(misfit: Misfit) -> Failure {
    Failure::Other(misfit.to_string())
}
