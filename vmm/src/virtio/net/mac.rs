//! MAC addresses.

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::virtio::rng::{Entropy, HostEntropy};

#[cfg(test)]
mod tests;

/// In the first byte: the address is one of a group (IEEE 802, section 8.2.2).
const GROUP: u8 = 1;
/// In the first byte: the address is administered locally.
const LOCAL: u8 = 2;

/// The address of one network card: neither one of a group nor all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "[u8; 6]", into = "[u8; 6]")]
pub struct Mac([u8; 6]);

/// Something that is not the MAC address of a network card.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is not the MAC address of a network card: write six bytes in hexadecimal such as \
     02:00:00:00:00:01, the first of them even, and not all of them zero"
)]
pub struct NotAMac(String);

impl Mac {
    /// A random address that is administered locally.
    ///
    /// # Errors
    /// When the host has no random bytes.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; 6];
        HostEntropy.fill(&mut bytes)?;
        let [first, rest @ ..] = bytes;
        let [b, c, d, e, f] = rest;
        Ok(Self([first & !GROUP | LOCAL, b, c, d, e, f]))
    }

    /// Its bytes, in the order of transmission.
    #[must_use]
    pub fn bytes(self) -> [u8; 6] {
        self.0
    }
}

impl TryFrom<[u8; 6]> for Mac {
    type Error = NotAMac;

    fn try_from(bytes: [u8; 6]) -> Result<Self, NotAMac> {
        match bytes {
            [first, ..] if first & GROUP == 0 && bytes != [0; 6] => Ok(Self(bytes)),
            _ => Err(NotAMac(Self(bytes).to_string())),
        }
    }
}

impl From<Mac> for [u8; 6] {
    fn from(mac: Mac) -> Self {
        mac.0
    }
}

impl FromStr for Mac {
    type Err = NotAMac;

    fn from_str(text: &str) -> Result<Self, NotAMac> {
        let refused = || NotAMac(text.to_owned());
        let byte = |part: &str| match part.len() {
            2 if part.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
                u8::from_str_radix(part, 16).ok()
            }
            _ => None,
        };
        let bytes: Option<Vec<u8>> = text.split(':').map(byte).collect();
        let bytes = bytes.and_then(|bytes| <[u8; 6]>::try_from(bytes).ok()).ok_or_else(refused)?;
        Self::try_from(bytes).map_err(|_| refused())
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}
