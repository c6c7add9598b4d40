//! Scripts: what one input says, checked as a whole before any of it runs.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use super::words::Words;
use super::{Op, Reason, Scope, ScriptError};

#[cfg(test)]
mod tests;

/// One scenario.
///
/// Its `Display` is a text that parses to the same scenario; only comments and spacing are lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// What the scenario is called.
    pub id: String,
    /// What happens, in order.
    pub ops: Vec<Op>,
    /// The line of each operation in the input, counted from 1.
    pub lines: Vec<usize>,
}

impl Script {
    /// The scenario `id` with one operation a line.
    #[must_use]
    pub fn new(id: impl Into<String>, ops: Vec<Op>) -> Self {
        // The line before them is the one that `Display` begins with.
        let lines = (2..).take(ops.len()).collect();
        Self { id: id.into(), ops, lines }
    }

    /// All scenarios of an input, or the first thing that is wrong with it.
    ///
    /// `file` is a path, or `-`: errors quote it as it is, and operations before the first line
    /// `scenario ID` are a scenario that is called like the file, without its directories.
    pub fn parse_all(file: &str, text: &str) -> Result<Vec<Self>, ScriptError> {
        let mut reader =
            Reader { file, ids: BTreeSet::new(), scripts: Vec::new(), scope: Scope::new() };
        for (line, number) in text.lines().zip(1..) {
            reader.line(line, number).map_err(|reason| malformed(file, number, reason))?;
        }
        if reader.scripts.is_empty() {
            return Err(malformed(file, 1, Reason::Empty));
        }
        Ok(reader.scripts)
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "scenario {}", self.id)?;
        self.ops.iter().try_for_each(|op| writeln!(f, "{op}"))
    }
}

fn malformed(file: &str, line: usize, reason: Reason) -> ScriptError {
    ScriptError { file: file.to_owned(), line, reason }
}

/// The scenarios read so far.
struct Reader<'a> {
    file: &'a str,
    ids: BTreeSet<String>,
    scripts: Vec<Script>,
    /// The names at the end of the last one.
    scope: Scope,
}

impl Reader<'_> {
    fn line(&mut self, line: &str, number: usize) -> Result<(), Reason> {
        let Some((first, words)) = Words::of(line) else { return Ok(()) };
        if first == "scenario" {
            return self.begin(words.only("an ID")?);
        }
        let op = words.into_op()?;
        if self.scripts.is_empty() {
            let path = Path::new(self.file);
            let name = path.file_name().unwrap_or(path.as_os_str());
            self.begin(&name.to_string_lossy())?;
        }
        self.scope.admit(&op)?;
        if let Some(script) = self.scripts.last_mut() {
            script.ops.push(op);
            script.lines.push(number);
        }
        Ok(())
    }

    fn begin(&mut self, id: &str) -> Result<(), Reason> {
        if !self.ids.insert(id.to_owned()) {
            return Err(Reason::DuplicateScenario(id.to_owned()));
        }
        self.scripts.push(Script { id: id.to_owned(), ops: Vec::new(), lines: Vec::new() });
        self.scope = Scope::new();
        Ok(())
    }
}
