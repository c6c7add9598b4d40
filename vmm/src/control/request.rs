//! What can be asked of the guests of a process.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::virtio::net::Mac;
use crate::virtio::vsock::Cid;

#[cfg(test)]
mod tests;

/// What can be asked of the guests of a process. Numbers are those of guests, or of snapshots where it says
/// so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// List the guests and the snapshots.
    Ps {},
    /// Let a guest stand still until it is resumed.
    Pause {
        /// Which.
        id: u32,
    },
    /// Let a paused guest go on.
    Resume {
        /// Which.
        id: u32,
    },
    /// Make a child that stands where the guest is now. The guest goes on, and so does the child, unless the
    /// guest is paused: then both are.
    Fork {
        /// Which.
        id: u32,
        /// What the child does not share with it.
        #[serde(default)]
        own: Own,
    },
    /// Keep what a guest is at this moment, for as long as the process lives.
    Snapshot {
        /// Which.
        id: u32,
    },
    /// Make a guest that goes on from a snapshot.
    Spawn {
        /// Which snapshot.
        id: u32,
        /// What the guest does not share with others.
        #[serde(default)]
        own: Own,
    },
    /// End a guest, or forget a snapshot.
    Stop {
        /// Which guest or snapshot.
        id: u32,
        /// End the guest at once, in the middle of whatever it does, with transfers in flight. Otherwise it is
        /// asked to end, where there is a way to ask.
        #[serde(default)]
        kill: bool,
    },
    /// Connect to a guest. Once this is answered, the connection is one to its vsock device, as if it had been
    /// made to its Unix socket (`pincow run --vsock`): `CONNECT PORT` comes next, and nothing before the answer.
    Connect {
        /// Which.
        id: u32,
    },
    /// Set how much memory a guest's balloon is to hold. The guest gives that up when it gets to it.
    Balloon {
        /// Which.
        id: u32,
        /// How much, in bytes: a multiple of 4096 that is smaller than the guest's memory.
        bytes: u64,
    },
    /// What a guest and its devices did so far. Of a guest that has ended, it is what it did in its life.
    Stats {
        /// Which.
        id: u32,
    },
}

/// What a child, or a clone of a snapshot, does not share with the guest that it is a copy of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Own {
    /// The file to which its serial output is appended, as an absolute path; nowhere without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<PathBuf>,
    /// Its network cards, in order. Those without an entry are plugged into nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nets: Vec<Card>,
    /// Its sockets to the host; programs of the host cannot connect to it without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vsock: Option<Sockets>,
}

/// The sockets between a guest and programs of this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sockets {
    /// The guest's address.
    pub cid: Cid,
    /// The Unix socket at which programs of the host find it, as an absolute path.
    pub uds: PathBuf,
}

/// A network card: what it is plugged into, and its address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The tap of this host that it is plugged into.
    pub tap: String,
    /// Its address, such as `02:00:00:00:00:01`; that of the card that it is a copy of without one.
    #[serde(default, with = "mac_as_text", skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
}

/// Addresses as people write them.
mod mac_as_text {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Mac;

    pub(super) fn serialize<S: Serializer>(mac: &Option<Mac>, to: S) -> Result<S::Ok, S::Error> {
        mac.map(|mac| mac.to_string()).serialize(to)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Option<Mac>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}
