//! Reading scenario scripts, from files and from stdin.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use pincow_mmu::scenario::Script;

use crate::cli::Failure;

#[cfg(test)]
mod tests;

/// All scenarios of one input; `-` is stdin.
pub(super) fn scripts(path: &Path) -> Result<Vec<Script>, Failure> {
    let bytes = if path == Path::new("-") { stdin() } else { fs::read(path) };
    parse(&path.display().to_string(), bytes.map_err(Failure::file(path))?)
}

fn stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The scenarios in `bytes`, or the line that is wrong and why.
fn parse(file: &str, bytes: Vec<u8>) -> Result<Vec<Script>, Failure> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        Failure::Other(format!("{file}:{line}: this is not text (UTF-8)"))
    })?;
    Script::parse_all(file, &text).map_err(|error| Failure::Other(error.to_string()))
}
