//! Runs a whole script.

use super::{Op, Outcome, Place, Runner, Script};

#[cfg(test)]
mod tests;

/// The place failed under a script.
#[derive(Debug, thiserror::Error)]
pub enum RunError<E: std::error::Error + 'static> {
    /// There is no guest to begin with.
    #[error("scenario {id}: the first guest cannot be made")]
    Start {
        /// The scenario.
        id: String,
        /// What the place said.
        source: E,
    },
    /// An operation failed, which is something else than being refused.
    #[error("scenario {id}, line {line}: `{op}` failed")]
    Operation {
        /// The scenario.
        id: String,
        /// The line in its input.
        line: usize,
        /// The operation.
        op: Op,
        /// What the place said.
        source: E,
    },
    /// The script is over, and what it left behind cannot be taken down.
    #[error("scenario {id}: its guests cannot be taken down")]
    Finish {
        /// The scenario.
        id: String,
        /// What the place said.
        source: E,
    },
}

/// Runs one script from its beginning, and takes down what it leaves behind.
pub fn run<P: Place>(script: &Script, place: &mut P) -> Result<Outcome, RunError<P::Error>> {
    let id = || script.id.clone();
    let mut runner = Runner::new(place).map_err(|source| RunError::Start { id: id(), source })?;
    for (op, &line) in script.ops.iter().zip(&script.lines) {
        runner.step(op).map_err(|source| RunError::Operation {
            id: id(),
            line,
            op: op.clone(),
            source,
        })?;
    }
    runner.finish().map_err(|source| RunError::Finish { id: id(), source })
}
