//! What a scenario shows.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

#[cfg(test)]
mod tests;

/// Something that a scenario showed. In the order of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Finding {
    /// An operation was refused, and skipped.
    Busy,
    /// A CPU's read missed what its CPU wrote last.
    Corrupt,
    /// A guest, or a device for it, saw a stamp that its history never held.
    Leak,
    /// A CPU's read missed what its device wrote last.
    Lost,
    /// A short pin returned what its owner's memory held when it was taken, or since, and holds no
    /// more. Legal.
    Old,
    /// A pin read bytes that are older than its owner's memory.
    Stale,
    /// An operation was blocked until all pins were drained.
    Wait,
}

impl Finding {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Busy => "BUSY",
            Self::Corrupt => "CORRUPT",
            Self::Leak => "LEAK",
            Self::Lost => "LOST",
            Self::Old => "OLD",
            Self::Stale => "STALE",
            Self::Wait => "WAIT",
        }
    }

    /// No machine may ever show it: bytes from elsewhere, or missing, or overtaken.
    #[must_use]
    pub fn is_violation(self) -> bool {
        match self {
            Self::Corrupt | Self::Leak | Self::Lost | Self::Stale => true,
            Self::Busy | Self::Old | Self::Wait => false,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The result of a scenario. `Display` writes it as tables do: `ok 1c`, `LEAK+LOST 1c`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What it showed.
    pub findings: BTreeSet<Finding>,
    /// How many pages were copied.
    pub copies: u64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.findings.iter().map(|finding| finding.name()).collect();
        let findings = if names.is_empty() { "ok".to_owned() } else { names.join("+") };
        f.pad(&format!("{findings} {}c", self.copies))
    }
}
