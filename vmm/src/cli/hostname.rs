//! The name that the child of a Linux guest gets.

use std::path::PathBuf;
use std::time::Duration;

use pincow_guest_agent::PORT;
use pincow_guest_agent::client::{dial_by, tell};

use super::Failure;
use super::remote::{Name, Target};

#[cfg(test)]
mod tests;

/// How long the agent of a child may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest name that Linux takes (hostname(7)).
const MOST: usize = 64;

/// A name for a guest: letters, digits, hyphens and dots. `{}` is its number.
pub(super) fn parse(text: &str) -> Result<String, String> {
    let plain = text.replace(super::own_args::NUMBER, "1");
    let fits = (1..=MOST).contains(&plain.len()) && !plain.starts_with(['-', '.']);
    let is_right = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    match fits && plain.bytes().all(is_right) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "a name has letters, digits, hyphens and dots, {MOST} of them at most, and begins with a \
             letter or digit"
        )),
    }
}

/// Has the agent of a guest set its name.
pub(super) fn set(target: &Target, id: Name, hostname: &str) -> Result<(), Failure> {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::Other(format!("{id} was made, and is not called {hostname}: {why}"))
    };
    let connect = || target.of(id).connect()?.into_guest();
    let name = PathBuf::from(format!("guest {id}"));
    let connection =
        dial_by(connect, &name, PORT, PATIENCE).map_err(|failure: Failure| failed(&failure))?;
    tell(connection, &["hostname", hostname], PATIENCE, || ()).map_err(|error| failed(&error))
}
