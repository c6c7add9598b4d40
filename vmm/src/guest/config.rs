//! What guests are made of, and what a child has of its own.

use super::{DiskConfig, NetConfig, VsockConfig};
use crate::devices::serial::{SerialSink, nowhere};
use crate::virtio::blk::Policy;
use crate::virtio::net::{Link, Mac};
use crate::virtio::vsock::{Cid, HostSocket};

/// What a new guest is made of.
pub struct GuestConfig {
    /// How many vCPUs.
    pub vcpus: u32,
    /// Where serial output goes.
    pub serial: SerialSink,
    /// Its disks, in the order of their registers.
    pub disks: Vec<DiskConfig>,
    /// What becomes of its requests in flight in a copy.
    pub inflight: Policy,
    /// Its network cards. Their registers come after those of the disks, in order.
    pub nets: Vec<NetConfig>,
    /// Whether it has a source of random bytes, whose registers come after those.
    pub rng: bool,
    /// Its sockets to the host, if it has any. Their registers come after those.
    pub vsock: Option<VsockConfig>,
    /// Whether it has a balloon, which gives memory back that it does not need. Its registers come last.
    pub balloon: bool,
}

impl Default for GuestConfig {
    /// One vCPU, serial output to nowhere, and no devices that have to be asked for.
    fn default() -> Self {
        Self {
            vcpus: 1,
            serial: nowhere(),
            disks: Vec::new(),
            inflight: Policy::default(),
            nets: Vec::new(),
            rng: false,
            vsock: None,
            balloon: false,
        }
    }
}

/// What a child, or a clone of a snapshot, does not share with the guest that it is a copy of.
///
/// A [`SerialSink`] alone makes one whose network cards are plugged into nothing, and which programs
/// of the host cannot connect to.
pub struct ChildConfig {
    /// Where its serial output goes.
    pub serial: SerialSink,
    /// Its network cards, in order. Those without an entry are plugged into nothing.
    pub nets: Vec<ChildNet>,
    /// Its sockets to the host, where its parent has some.
    pub vsock: Option<ChildVsock>,
}

/// The sockets to the host of a child. Connections stay with its parent.
#[derive(Default)]
pub struct ChildVsock {
    /// Its address, where that is not to be its parent's.
    pub cid: Option<Cid>,
    /// Where programs of the host find it, if anywhere. Never where they find its parent.
    pub socket: Option<HostSocket>,
}

/// One network card of a child.
#[derive(Default)]
pub struct ChildNet {
    /// What it is plugged into, if anything. Never the link of its parent's card.
    pub link: Option<Link>,
    /// Its address, where that is not to be its parent's.
    pub mac: Option<Mac>,
}

impl From<SerialSink> for ChildConfig {
    fn from(serial: SerialSink) -> Self {
        Self { serial, nets: Vec::new(), vsock: None }
    }
}
