//! What children of a running guest have of their own, as people write it.

use std::path::{self, PathBuf};

use super::net_args::NetArg;
use super::remote::{Name, Target, unexpected};
use super::vsock_args::VsockArg;
use super::{Failure, hostname};
use crate::control::{GuestState, Own, Request, Response};

#[cfg(test)]
mod tests;

/// Stands for the number of a child, in names of files and taps.
pub(super) const NUMBER: &str = "{}";

/// What becomes of a name for child number `number`.
pub(super) fn numbered(name: &str, number: u32) -> String {
    name.replace(NUMBER, &number.to_string())
}

/// What children have of their own.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct OwnArgs {
    /// How many are made, one after the other.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,

    /// The file to which the child's serial line is appended; it goes nowhere otherwise. {} in it is the
    /// number of the child, from 1 to the count.
    #[arg(long, value_name = "FILE")]
    serial: Option<PathBuf>,

    /// What the child's next network card is plugged into, as for `pincow run`. Without an address it has
    /// that of the card that it is a copy of; cards that are not named are plugged into nothing. {} in
    /// NAME is the number of the child, from 1 to the count.
    #[arg(long = "net", value_name = "tap=NAME[,mac=ADDRESS]")]
    nets: Vec<NetArg>,

    /// The child's sockets to this host, as for `pincow run`, where the guest has some. Without, only
    /// `pincow exec`, `copy` and `stop` reach the child, by its ID. {} in PATH is the number of the child, from 1 to the
    /// count.
    #[arg(long, value_name = "cid=CID,uds=PATH")]
    vsock: Option<VsockArg>,

    /// The child's name (hostname), which its agent sets, as `pincow exec` would. {} in NAME is the number
    /// of the child, from 1 to the count.
    #[arg(long, value_name = "NAME", value_parser = hostname::parse)]
    hostname: Option<String>,
}

impl OwnArgs {
    /// Refuses what would fail when a child of this guest has been made.
    pub(super) fn check(&self, target: &Target) -> Result<(), Failure> {
        if self.hostname.is_none() {
            return Ok(());
        }
        let mut remote = target.connect()?;
        let response = remote.call(&Request::Stats { id: remote.number })?;
        let Response::Stats(stats) = &response else { return Err(unexpected(&response)) };
        if stats.guest.state == GuestState::Paused {
            return Err(Failure::Other(format!(
                "{} is paused, and so would its child be, which takes no name (--hostname) then: resume it first",
                remote.name(remote.number)
            )));
        }
        remote.into_guest().map(drop)
    }

    /// Gives child number `number`, which was made, what its own agent has to set.
    pub(super) fn finish(&self, target: &Target, number: u32, id: Name) -> Result<(), Failure> {
        let Some(hostname) = &self.hostname else { return Ok(()) };
        hostname::set(target, id, &numbered(hostname, number))
    }

    /// What each child has of its own, in order.
    pub(super) fn each(&self) -> Result<Vec<Own>, Failure> {
        let serial = self.serial.as_ref().map(|path| path.to_string_lossy().into_owned());
        let shares_serial = serial.as_ref().is_some_and(|name| !name.contains(NUMBER));
        let shares_link = self.nets.iter().any(NetArg::is_for_one)
            || self.vsock.as_ref().is_some_and(VsockArg::is_for_one);
        if self.count > 1 && (shares_serial || shares_link) {
            return Err(Failure::Other(format!(
                "{} guests cannot have one serial line, tap or Unix socket together: write {NUMBER} where the name \
                 is to have the number of the guest, such as tap=tap{NUMBER}",
                self.count
            )));
        }
        let own = |number| {
            let absolute = |name: &String| {
                let name = numbered(name, number);
                path::absolute(&name).map_err(|error| {
                    Failure::Other(format!("the serial line's file `{name}`: {error}"))
                })
            };
            let serial = serial.as_ref().map(absolute).transpose()?;
            let nets = self.nets.iter().map(|net| net.card_of(number)).collect();
            let sockets = |arg: &VsockArg| {
                let failed =
                    |error| Failure::Other(format!("the path of the Unix socket: {error}"));
                arg.sockets_of(number).map_err(failed)
            };
            let vsock = self.vsock.as_ref().map(sockets).transpose()?;
            Ok(Own { serial, nets, vsock })
        };
        (1..=self.count).map(own).collect()
    }
}
