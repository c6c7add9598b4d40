//! The sockets between a guest and the host, as people write them: `cid=3,uds=PATH`.

use std::io;
use std::path::{self, PathBuf};
use std::str::FromStr;

use super::Failure;
use super::own_args::{NUMBER, numbered};
use crate::control::Sockets;
use crate::guest::VsockConfig;
use crate::virtio::vsock::{Cid, HostSocket};

#[cfg(test)]
mod tests;

/// A vsock device, as people write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VsockArg {
    cid: Cid,
    uds: PathBuf,
}

/// A vsock device that nobody understands.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{text}` is not a vsock device: {problem}: write cid=NUMBER,uds=PATH, such as cid=3,uds=guest.sock"
)]
pub(super) struct NotAVsock {
    text: String,
    problem: String,
}

impl FromStr for VsockArg {
    type Err = NotAVsock;

    fn from_str(text: &str) -> Result<Self, NotAVsock> {
        let refused = |problem: String| NotAVsock { text: text.to_owned(), problem };
        let (mut cid, mut uds) = (None, None);
        for part in text.split(',') {
            match part.split_once('=') {
                Some(("cid", number)) if cid.is_none() => {
                    let number: Result<Cid, _> = number.parse();
                    cid = Some(number.map_err(|error| refused(error.to_string()))?);
                }
                Some(("uds", path)) if uds.is_none() && !path.is_empty() => {
                    uds = Some(PathBuf::from(path));
                }
                _ => return Err(refused(format!("`{part}` is not a part of one"))),
            }
        }
        let cid = cid.ok_or_else(|| refused("it has no CID".to_owned()))?;
        let uds = uds.ok_or_else(|| refused("it names no Unix socket".to_owned()))?;
        Ok(Self { cid, uds })
    }
}

impl VsockArg {
    /// The sockets of child number `number` of a command: `{}` in the path is the number.
    pub(super) fn sockets_of(&self, number: u32) -> io::Result<Sockets> {
        let uds = path::absolute(numbered(&self.uds.to_string_lossy(), number))?;
        Ok(Sockets { cid: self.cid, uds })
    }

    /// Whether children would get the same path.
    pub(super) fn is_for_one(&self) -> bool {
        !self.uds.to_string_lossy().contains(NUMBER)
    }
}

/// The option of a guest's sockets to the host.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct VsockArgs {
    /// Sockets between the guest, which has the address CID (from 3), and programs of this host
    /// (virtio-vsock). A program that connects to the Unix socket PATH and writes `CONNECT PORT` in a
    /// line reaches who listens on that port in the guest, and reads `OK HOSTPORT` in a line first.
    /// A guest that connects to port P of CID 2 reaches who listens at the Unix socket PATH_P.
    /// `pincow exec`, `copy` and `stop` use the device, at a guest's ID without the socket. At a fork,
    /// connections stay with the parent.
    #[arg(long, value_name = "cid=CID,uds=PATH")]
    vsock: Option<VsockArg>,
}

impl VsockArgs {
    /// Listens at the path, which is removed when the guest ends.
    pub(super) fn open(&self) -> Result<Option<VsockConfig>, Failure> {
        let open = |arg: &VsockArg| {
            let socket = Some(HostSocket::bind(&arg.uds)?);
            Ok(VsockConfig { cid: arg.cid, socket })
        };
        self.vsock.as_ref().map(open).transpose()
    }
}
