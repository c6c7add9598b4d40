//! The generation ID: 16 random bytes in the memory of a PC, of its own for each copy.
//!
//! An operating system reads where they are in the ACPI tables ("Virtual Machine Generation ID",
//! Microsoft 2018), and is interrupted when they have changed: Linux from 5.18 on mixes them into its
//! random numbers then, if it has the driver (CONFIG_VMGENID).
//!
//! A copy has a new one before its first instruction. It is written through the guest's window, like
//! anything that a CPU writes, so the copy has a frame of its own for it, and those that it was
//! copied from keep theirs. Its interrupt is pending when the copy starts. A guest that has not set up
//! the interrupt yet misses nothing, since it has not read the bytes either.
//!
//! The guest may overwrite its bytes, and deceives nobody but itself.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use vm_memory::{Bytes, GuestAddress};

use super::{GuestRam, MachineError, Wire};
use crate::boot::linux::layout::{GENERATION_ID, GENERATION_IRQ};
use crate::devices::{Interrupt, Line};
use crate::virtio::rng::{Entropy, HostEntropy};

#[cfg(test)]
mod tests;

/// Which copy of a guest this is: random, and the same for no two. Written as 32 hexadecimal digits,
/// in the order of memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GenerationId([u8; 16]);

/// A text that is no generation ID.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no generation ID: it has 32 hexadecimal digits")]
pub struct NotAGenerationId(String);

impl GenerationId {
    /// The bytes, as the guest has them in its memory.
    #[must_use]
    pub fn bytes(&self) -> [u8; 16] {
        self.0
    }
}

/// Gives a guest an ID, which is its first one, unless it is a copy: then it is interrupted for it.
pub(super) fn give(ram: &GuestRam, is_copy: bool) -> Result<(GenerationId, Wire), MachineError> {
    let mut id = GenerationId([0; 16]);
    HostEntropy.fill(&mut id.0).map_err(MachineError::Random)?;
    let written = ram.memory().write_slice(&id.0, GuestAddress(GENERATION_ID));
    written.map_err(MachineError::GenerationId)?;
    let line = Line::new().map_err(MachineError::Line)?;
    if is_copy {
        line.raise().map_err(MachineError::Line)?;
    }
    Ok((id, Wire { line, irq: GENERATION_IRQ }))
}

impl fmt::Display for GenerationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for GenerationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GenerationId({self})")
    }
}

impl FromStr for GenerationId {
    type Err = NotAGenerationId;

    fn from_str(text: &str) -> Result<GenerationId, NotAGenerationId> {
        let is_hexadecimal = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| is_hexadecimal);
        let number = number.ok_or_else(|| NotAGenerationId(text.to_owned()))?;
        Ok(GenerationId(number.to_be_bytes()))
    }
}

impl TryFrom<String> for GenerationId {
    type Error = NotAGenerationId;

    fn try_from(text: String) -> Result<GenerationId, NotAGenerationId> {
        text.parse()
    }
}

impl From<GenerationId> for String {
    fn from(id: GenerationId) -> String {
        id.to_string()
    }
}
