//! Why a script cannot run.

use super::Name;

/// A malformed script: nothing of the input it is part of has run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct ScriptError {
    /// The input, as its caller names it.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong with a line of a script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No operation has this name.
    #[error("`{0}` is not an operation")]
    UnknownOperation(String),
    /// The operation needs another word.
    #[error("`{operation}` needs {argument}")]
    MissingArgument {
        /// The operation.
        operation: String,
        /// What the word would stand for.
        argument: &'static str,
    },
    /// The operation takes fewer words.
    #[error("`{operation}` takes no further `{word}`")]
    SuperfluousArgument {
        /// The operation.
        operation: String,
        /// The first word too many.
        word: String,
    },
    /// The word is none of those that can stand here.
    #[error("`{word}` is not {expected}")]
    UnknownWord {
        /// The word.
        word: String,
        /// What can stand there.
        expected: &'static str,
    },
    /// Names have other characters.
    #[error("`{0}` is not a name: names are letters, digits and `_`")]
    BadName(String),
    /// The name was never introduced.
    #[error("there was never a {kind} `{name}`")]
    NeverIntroduced {
        /// What it should name.
        kind: Kind,
        /// The name.
        name: Name,
    },
    /// What the name stood for is gone.
    #[error("the {kind} `{name}` is gone")]
    Gone {
        /// What it named.
        kind: Kind,
        /// The name.
        name: Name,
    },
    /// The name is taken.
    #[error("there is a {kind} `{name}` already")]
    Taken {
        /// What it names.
        kind: Kind,
        /// The name.
        name: Name,
    },
    /// A device write through a pin that only lets the device read.
    #[error("`{0}` is an R pin, and `dma_write` needs a W pin")]
    WriteThroughReadPin(Name),
    /// Each guest has one hold at most.
    #[error("guest `{0}` has a hold already")]
    HeldAlready(Name),
    /// There is nothing to release.
    #[error("guest `{0}` has no hold")]
    NotHeld(Name),
    /// Two scenarios of one input have the same ID.
    #[error("there is a scenario `{0}` already")]
    DuplicateScenario(String),
    /// The input has neither an operation nor a scenario.
    #[error("there is no scenario")]
    Empty,
}

/// What a name stands for. Guests and pins have names of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A guest.
    Guest,
    /// A pin.
    Pin,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Guest => "guest",
            Self::Pin => "pin",
        })
    }
}
