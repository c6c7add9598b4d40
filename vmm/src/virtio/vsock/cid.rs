//! Context identifiers: the addresses of guests.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A number that no guest can have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not the CID of a guest: a number from 3 to 4294967294 (0 to 2 are reserved)")]
pub struct NotACid(String);

/// A guest's context identifier (section 5.10.4): from 3, below the one that means any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Cid(u32);

impl Cid {
    /// As it is in packets and in the configuration space.
    #[must_use]
    pub fn wide(self) -> u64 {
        self.0.into()
    }
}

impl TryFrom<u32> for Cid {
    type Error = NotACid;

    fn try_from(number: u32) -> Result<Self, NotACid> {
        match number {
            0..=2 | u32::MAX => Err(NotACid(number.to_string())),
            _ => Ok(Self(number)),
        }
    }
}

impl From<Cid> for u32 {
    fn from(cid: Cid) -> Self {
        cid.0
    }
}

impl FromStr for Cid {
    type Err = NotACid;

    fn from_str(text: &str) -> Result<Self, NotACid> {
        text.parse::<u32>().map_err(|_| NotACid(text.to_owned()))?.try_into()
    }
}

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
