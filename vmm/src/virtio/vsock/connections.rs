//! All connections of one guest, and what their sockets are ready for.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::ops::Bound;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

use super::connection::{Connection, Outlet, Said};
use super::packet::{Header, Ports};
use super::socket::HostSocket;

/// Connections that each side may have begun at one time.
pub const MOST_CONNECTIONS: usize = 128;

/// Where ports of the host's ends begin that nobody has chosen. Firecracker has them there, too.
const FIRST_PORT: u32 = 1 << 30;

/// The longest `CONNECT` line: that of the largest port, and its end.
const LINE_MOST: usize = "CONNECT 4294967295\n".len();

/// What is told of the listening socket. Others are numbered from 1.
const LISTENER: u64 = 0;

/// Readiness that is looked at in one step.
const MOST_EVENTS: usize = 64;

/// What a stream of the host is.
enum Entry {
    /// A program has connected and has not said yet to which port: what it has said.
    Greeting(UnixStream, Vec<u8>),
    /// The guest knows of it.
    Live(Connection),
    /// It is over for the guest; its program has not read everything.
    Rest(UnixStream, Outlet),
}

/// Who has begun a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Host,
    Guest,
}

/// All of them. Everything here is told of changes only (edge-triggered), and remembers what a socket
/// was ready for.
pub(super) struct Connections {
    epoll: Epoll,
    entries: BTreeMap<u64, (Origin, Entry)>,
    by_ports: HashMap<Ports, u64>,
    /// Somebody may wait to be accepted.
    knocked: bool,
    next_token: u64,
    next_port: u32,
    /// Who spoke last.
    last: u64,
}

impl Connections {
    /// None, and `socket` is watched.
    pub(super) fn new(socket: Option<&HostSocket>) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        if let Some(socket) = socket {
            watch(&epoll, socket.source(), LISTENER)?;
        }
        Ok(Self {
            epoll,
            entries: BTreeMap::new(),
            by_ports: HashMap::new(),
            knocked: false,
            next_token: LISTENER + 1,
            next_port: FIRST_PORT,
            last: LISTENER,
        })
    }

    /// Closes all of them.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.by_ports.clear();
    }

    /// Readable when a socket is ready for something.
    pub(super) fn source(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Notes what sockets are ready for, and does what can be done about it without the guest.
    pub(super) fn hear(&mut self) {
        let mut events = vec![EpollEvent::default(); MOST_EVENTS];
        // A signal is no reason: what is ready stays so.
        let count = self.epoll.wait(0, &mut events).unwrap_or(0);
        for event in events.iter().take(count) {
            match event.data() {
                LISTENER => self.knocked = true,
                token => {
                    let gone = EventSet::HANG_UP | EventSet::ERROR;
                    self.stir(token, event.event_set().intersects(gone));
                }
            }
        }
    }

    fn stir(&mut self, token: u64, hung_up: bool) {
        let over = match self.entries.get_mut(&token) {
            None => false,
            Some((_, Entry::Live(connection))) => {
                connection.stirred(hung_up);
                false
            }
            Some((_, Entry::Rest(stream, outlet))) => {
                outlet.flush(stream).is_err() || outlet.is_empty()
            }
            Some((_, Entry::Greeting(stream, line))) => match read_line(stream, line) {
                // Nobody is left to be told that the guest has accepted.
                Ok(Some(_)) if hung_up => true,
                Ok(Some(port)) => {
                    self.ask(token, port);
                    false
                }
                Ok(None) => false,
                Err(_) => true,
            },
        };
        if over {
            self.entries.remove(&token);
        }
    }

    /// Makes a greeting a connection to port `guest`.
    fn ask(&mut self, token: u64, guest: u32) {
        let Some((origin, Entry::Greeting(stream, _))) = self.entries.remove(&token) else {
            return;
        };
        let ports = Ports { host: self.free_port(guest), guest };
        self.by_ports.insert(ports, token);
        self.entries.insert(token, (origin, Entry::Live(Connection::of_host(stream, ports))));
    }

    /// A port of the host that has no connection to `guest`. There are more ports than connections.
    fn free_port(&mut self, guest: u32) -> u32 {
        loop {
            let host = self.next_port;
            self.next_port = if host == FIRST_PORT * 2 - 1 { FIRST_PORT } else { host + 1 };
            if !self.by_ports.contains_key(&Ports { host, guest }) {
                return host;
            }
        }
    }

    fn has_room(&self, origin: Origin) -> bool {
        let begun = self.entries.values().filter(|(by, _)| *by == origin).count();
        begun < MOST_CONNECTIONS
    }

    fn insert(&mut self, origin: Origin, fd: RawFd, entry: Entry) -> io::Result<u64> {
        let token = self.next_token;
        watch(&self.epoll, fd, token)?;
        self.next_token += 1;
        self.entries.insert(token, (origin, entry));
        Ok(token)
    }

    /// Whether somebody waits to be accepted, and can be.
    pub(super) fn is_knocked(&self) -> bool {
        self.knocked && self.has_room(Origin::Host)
    }

    /// Accepts those who wait on the host, as long as there is room.
    ///
    /// # Errors
    /// When this process has no descriptor for another: it is to be tried again.
    pub(super) fn accept(&mut self, socket: &HostSocket) -> io::Result<()> {
        while self.is_knocked() {
            match socket.accept() {
                Ok(stream) => {
                    let fd = stream.as_raw_fd();
                    self.insert(Origin::Host, fd, Entry::Greeting(stream, Vec::new()))?;
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.knocked = false,
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// Takes in a stream whose other end is a program of the host, as if it had been accepted. It must not
    /// block.
    pub(super) fn adopt(&mut self, stream: UnixStream) -> io::Result<()> {
        if !self.has_room(Origin::Host) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let fd = stream.as_raw_fd();
        self.insert(Origin::Host, fd, Entry::Greeting(stream, Vec::new())).map(drop)
    }

    /// Connects the guest to a program of the host. `None` where that cannot be, or there is no room.
    pub(super) fn open(&mut self, socket: &HostSocket, request: &Header) -> Option<()> {
        if !self.has_room(Origin::Guest) {
            return None;
        }
        let ports = request.ports();
        let stream = socket.connect(ports.host).ok()?;
        let fd = stream.as_raw_fd();
        let entry = Entry::Live(Connection::of_guest(stream, request));
        let token = self.insert(Origin::Guest, fd, entry).ok()?;
        self.by_ports.insert(ports, token);
        Some(())
    }

    /// The connection between these ports.
    pub(super) fn get(&mut self, ports: Ports) -> Option<&mut Connection> {
        match self.entries.get_mut(self.by_ports.get(&ports)?)? {
            (_, Entry::Live(connection)) => Some(connection),
            _ => None,
        }
    }

    /// The guest is done with a connection. What it has sent is still passed on.
    pub(super) fn part(&mut self, ports: Ports) {
        let Some(token) = self.by_ports.remove(&ports) else { return };
        let Some((origin, Entry::Live(connection))) = self.entries.remove(&token) else { return };
        if let Some((stream, outlet)) = connection.remains() {
            self.entries.insert(token, (origin, Entry::Rest(stream, outlet)));
        }
    }

    /// Whether there may be a packet for the guest.
    pub(super) fn wants_to_speak(&self) -> bool {
        self.entries.values().any(|(_, entry)| speaks(entry))
    }

    /// The next packet for the guest, if there is one: all connections in turn. Its bytes are in
    /// `buffer`, which is not empty.
    pub(super) fn speak(&mut self, buffer: &mut [u8]) -> Option<(Ports, Said)> {
        let after = (Bound::Excluded(self.last), Bound::Unbounded);
        let until = (Bound::Unbounded, Bound::Included(self.last));
        let order: Vec<u64> = self
            .entries
            .range(after)
            .chain(self.entries.range(until))
            .filter_map(|(&token, (_, entry))| speaks(entry).then_some(token))
            .collect();
        for token in order {
            let Some((_, Entry::Live(connection))) = self.entries.get_mut(&token) else { continue };
            if let Some(said) = connection.speak(buffer) {
                self.last = token;
                return Some((connection.ports(), said));
            }
        }
        None
    }
}

fn speaks(entry: &Entry) -> bool {
    matches!(entry, Entry::Live(connection) if connection.wants_to_speak())
}

fn watch(epoll: &Epoll, fd: RawFd, token: u64) -> io::Result<()> {
    let events = EventSet::IN | EventSet::OUT | EventSet::READ_HANG_UP | EventSet::EDGE_TRIGGERED;
    epoll.ctl(ControlOperation::Add, fd, EpollEvent::new(events, token))
}

/// Reads on in a `CONNECT` line, and nothing that comes after it. The port, when it has ended.
///
/// # Errors
/// When the line is another, or the program has gone.
fn read_line(stream: &mut UnixStream, line: &mut Vec<u8>) -> io::Result<Option<u32>> {
    let mut byte = [0];
    loop {
        match stream.read(&mut byte) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => line.extend(byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
        if byte == *b"\n" {
            return port(line).map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into());
        }
        if line.len() == LINE_MOST {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// The port in a whole line.
fn port(line: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(line).ok()?.strip_prefix("CONNECT ")?.strip_suffix('\n')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|&port| is_number && port != super::packet::PORT_ANY)
}
