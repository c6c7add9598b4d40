//! One connection: what each side is owed, and how much it may be sent.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use super::packet::{Header, Op, Ports, SHUTDOWN_BOTH, SHUTDOWN_RECEIVE, SHUTDOWN_SEND};

mod allowance;
mod outlet;
#[cfg(test)]
mod tests;

use allowance::Allowance;
pub use outlet::BUFFER_LEN;
pub(super) use outlet::Outlet;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The host has asked for it, and the guest has not answered.
    Asked,
    /// Both have agreed.
    Open,
    /// The guest is owed an RST, and nothing else is done any more.
    Ending,
}

/// What is left to do with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on.
    Lives,
    /// It is over for the guest, which needs not be told.
    Over,
}

/// What a packet to the guest says beside the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) op: Op,
    pub(super) flags: u32,
    pub(super) len: usize,
    pub(super) fwd_cnt: u32,
}

/// A connection that the guest knows of, or is about to be told of.
pub(super) struct Connection {
    ports: Ports,
    stream: UnixStream,
    phase: Phase,
    /// The guest has not been told yet that it is asked, or that its request was granted.
    unsaid: Option<Op>,
    /// Toward the guest.
    allowance: Allowance,
    readable: bool,
    /// There is nothing more to read.
    ended: bool,
    /// The host's program has closed its socket.
    hung_up: bool,
    /// What the guest was told of our end.
    said_shut: u32,
    /// Toward the host's program.
    outlet: Outlet,
    /// What the guest has said of its end.
    guest_shut: u32,
    credit_asked: bool,
}

impl Connection {
    /// One that the host begins: the guest is to be asked.
    pub(super) fn of_host(stream: UnixStream, ports: Ports) -> Self {
        Self::new(stream, ports, Phase::Asked, Op::Request)
    }

    /// One that the guest begins with `request`: it is granted.
    pub(super) fn of_guest(stream: UnixStream, request: &Header) -> Self {
        let mut new = Self::new(stream, request.ports(), Phase::Open, Op::Response);
        new.allowance.update(request);
        new
    }

    fn new(stream: UnixStream, ports: Ports, phase: Phase, unsaid: Op) -> Self {
        Self {
            ports,
            stream,
            phase,
            unsaid: Some(unsaid),
            allowance: Allowance::default(),
            readable: true,
            ended: false,
            hung_up: false,
            said_shut: 0,
            outlet: Outlet::default(),
            guest_shut: 0,
            credit_asked: false,
        }
    }

    pub(super) fn ports(&self) -> Ports {
        self.ports
    }

    /// The stream has become ready for something.
    pub(super) fn stirred(&mut self, hung_up: bool) {
        self.readable = true;
        self.hung_up |= hung_up;
        // Nobody is left to be told that the guest has accepted.
        if hung_up && self.phase == Phase::Asked {
            self.phase = Phase::Ending;
        }
        self.flush();
    }

    /// Acts on a packet of the guest for this connection: its header and bytes.
    pub(super) fn take(&mut self, header: &Header, bytes: &[u8]) -> Fate {
        self.allowance.update(header);
        match (self.phase, Op::of(header.op)) {
            (_, Some(Op::Reset)) => return Fate::Over,
            (Phase::Ending, _) => {}
            (Phase::Asked, Some(Op::Response)) if self.unsaid.is_none() => self.greet(),
            (Phase::Open, Some(Op::Data)) if self.guest_shut & SHUTDOWN_SEND == 0 => {
                match self.outlet.take(bytes) {
                    Ok(()) => self.flush(),
                    Err(_) => self.phase = Phase::Ending,
                }
            }
            (Phase::Open, Some(Op::Shutdown)) => self.shut(header.flags),
            (Phase::Open, Some(Op::CreditUpdate)) => {}
            (Phase::Open, Some(Op::CreditRequest)) => self.credit_asked = true,
            // What makes no sense here ends the connection.
            (Phase::Asked | Phase::Open, _) => self.phase = Phase::Ending,
        }
        Fate::Lives
    }

    /// Ends it: something in it made no sense.
    pub(super) fn end(&mut self) {
        self.phase = Phase::Ending;
    }

    /// The guest has accepted: says so to the host's program.
    fn greet(&mut self) {
        let line = format!("OK {}\n", self.ports.host);
        // There is room for a line in a socket that nothing was written to yet.
        self.phase = match self.stream.write(line.as_bytes()) {
            Ok(len) if len == line.len() => Phase::Open,
            _ => Phase::Ending,
        };
    }

    fn shut(&mut self, flags: u32) {
        self.guest_shut |= flags & SHUTDOWN_BOTH;
        if self.guest_shut & SHUTDOWN_RECEIVE != 0 {
            self.ended = true;
            // It fails where the program is gone, which is as good.
            let _ = self.stream.shutdown(Shutdown::Read);
        }
        self.flush();
        if self.guest_shut == SHUTDOWN_BOTH {
            self.phase = Phase::Ending;
        }
    }

    /// Passes on what the guest has sent, and its end.
    fn flush(&mut self) {
        if self.outlet.flush(&mut self.stream).is_err() {
            self.phase = Phase::Ending;
        }
        if self.outlet.is_empty() && self.guest_shut & SHUTDOWN_SEND != 0 {
            // See `shut`.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }

    /// What is to be said of our end and was not.
    fn unsaid_shut(&self) -> u32 {
        let ours = match (self.ended, self.hung_up) {
            (true, true) => SHUTDOWN_BOTH,
            (true, false) => SHUTDOWN_SEND,
            (false, _) => 0,
        };
        ours & !self.said_shut
    }

    fn may_read(&self) -> bool {
        self.readable && !self.ended && self.allowance.left() > 0
    }

    /// Whether there may be a packet for the guest.
    pub(super) fn wants_to_speak(&self) -> bool {
        let of_open = self.may_read()
            || self.outlet.is_credit_due()
            || self.credit_asked
            || self.unsaid_shut() != 0;
        self.unsaid.is_some()
            || match self.phase {
                Phase::Asked => false,
                Phase::Open => of_open,
                Phase::Ending => true,
            }
    }

    /// The next packet for the guest, if there is one, with its bytes in `buffer`, which is not empty.
    pub(super) fn speak(&mut self, buffer: &mut [u8]) -> Option<Said> {
        let (op, flags, len) = match (self.phase, self.unsaid.take()) {
            (Phase::Ending, _) => (Op::Reset, 0, 0),
            (_, Some(op)) => (op, 0, 0),
            (Phase::Asked, None) => return None,
            (Phase::Open, None) => self.speak_open(buffer)?,
        };
        self.credit_asked = false;
        Some(Said { op, flags, len, fwd_cnt: self.outlet.tell() })
    }

    fn speak_open(&mut self, buffer: &mut [u8]) -> Option<(Op, u32, usize)> {
        if self.may_read() {
            match self.read(buffer) {
                Ok(0) => self.ended = true,
                Ok(len) => return Some((Op::Data, 0, len)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(_) => {
                    self.phase = Phase::Ending;
                    return Some((Op::Reset, 0, 0));
                }
            }
        }
        let flags = self.unsaid_shut();
        if flags != 0 {
            self.said_shut |= flags;
            return Some((Op::Shutdown, self.said_shut, 0));
        }
        let due = self.credit_asked || self.outlet.is_credit_due();
        due.then_some((Op::CreditUpdate, 0, 0))
    }

    /// Reads what the guest has room for.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.allowance.left() as usize);
        let len = self.stream.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.allowance.spend(len as u32);
        Ok(len)
    }

    /// What is left when it is over for the guest: bytes that its program has sent, and that somebody
    /// on the host may still read.
    pub(super) fn remains(mut self) -> Option<(UnixStream, Outlet)> {
        self.outlet.flush(&mut self.stream).ok()?;
        (!self.outlet.is_empty()).then_some((self.stream, self.outlet))
    }
}
