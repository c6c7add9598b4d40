//! The network cards of a guest, as people write them: `tap=NAME`, `tap=NAME,mac=ADDRESS`.

use std::str::FromStr;

use super::Failure;
use super::own_args::{NUMBER, numbered};
use crate::control::Card;
use crate::guest::NetConfig;
use crate::virtio::net::{Mac, Tap};

#[cfg(test)]
mod tests;

/// A network card, as people write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NetArg {
    tap: String,
    mac: Option<Mac>,
}

/// A network card that nobody understands.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not a network card: {problem}: write tap=NAME or tap=NAME,mac=ADDRESS")]
pub(super) struct NotACard {
    text: String,
    problem: String,
}

impl FromStr for NetArg {
    type Err = NotACard;

    fn from_str(text: &str) -> Result<Self, NotACard> {
        let refused = |problem: String| NotACard { text: text.to_owned(), problem };
        let (mut tap, mut mac) = (None, None);
        for part in text.split(',') {
            match part.split_once('=') {
                Some(("tap", name)) if tap.is_none() && !name.is_empty() => {
                    tap = Some(name.to_owned());
                }
                Some(("mac", address)) if mac.is_none() => {
                    let address: Result<Mac, _> = address.parse();
                    mac = Some(address.map_err(|error| refused(error.to_string()))?);
                }
                _ => return Err(refused(format!("`{part}` is not a part of one"))),
            }
        }
        let tap = tap.ok_or_else(|| refused("it names no tap".to_owned()))?;
        Ok(Self { tap, mac })
    }
}

impl NetArg {
    /// The card of child number `number` of a command: `{}` in the tap's name is the number.
    pub(super) fn card_of(&self, number: u32) -> Card {
        Card { tap: numbered(&self.tap, number), mac: self.mac }
    }

    /// Whether children would get the same tap.
    pub(super) fn is_for_one(&self) -> bool {
        !self.tap.contains(NUMBER)
    }

    fn open(&self) -> Result<NetConfig, Failure> {
        let tap = Tap::open(&self.tap)?;
        let random =
            || Mac::random().map_err(|error| Failure::Other(format!("a MAC address: {error}")));
        let mac = self.mac.map_or_else(random, Ok)?;
        Ok(NetConfig { link: Some(Box::new(tap)), mac })
    }
}

/// The options of a guest's network cards, and of its source of random bytes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct NetArgs {
    /// A network card for the guest (virtio-net), plugged into the tap NAME of this host, which one
    /// guest at a time can use. Without an address it gets a random one. A fork's cards
    /// are plugged into what `pincow fork --net` says. May be given several times.
    #[arg(long = "net", value_name = "tap=NAME[,mac=ADDRESS]")]
    nets: Vec<NetArg>,

    /// A source of random bytes for the guest (virtio-rng): those of this host's kernel.
    #[arg(long)]
    rng: bool,

    /// A balloon in the guest (virtio-balloon): memory that it reports as free goes back to this host,
    /// and `pincow balloon` takes more.
    #[arg(long)]
    balloon: bool,
}

impl NetArgs {
    /// Attaches to the taps, in order.
    pub(super) fn open(&self) -> Result<Vec<NetConfig>, Failure> {
        self.nets.iter().map(NetArg::open).collect()
    }

    /// Whether the guest has a source of random bytes.
    pub(super) fn rng(&self) -> bool {
        self.rng
    }

    /// Whether the guest has a balloon.
    pub(super) fn balloon(&self) -> bool {
        self.balloon
    }
}
