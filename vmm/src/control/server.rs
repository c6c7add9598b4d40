//! A control socket: requests come in, a session carries them out.

use std::io::{self, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Builder, JoinHandle};
use std::time::Duration;

use super::place::{Claim, PlaceError};
use super::wire::{self, Answer, Line, MOST_REQUEST_BYTES};
use super::{ControlError, Response, Session};

mod clients;
#[cfg(test)]
mod tests;

use clients::Clients;

/// How long a client may take to read its answer.
const WRITE_PATIENCE: Duration = Duration::from_secs(5);

/// How long a server that ends waits for requests that are carried out.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// How long nobody is let in when the process has no room for another connection.
const REST: Duration = Duration::from_millis(50);

/// Takes requests for a session from a socket. Dropping it answers the requests that are carried out,
/// lets go of all clients, and removes the socket.
pub struct Server {
    shared: Arc<Shared>,
    /// The listening socket: shutting it down wakes the thread.
    listening: UnixStream,
    thread: Option<JoinHandle<()>>,
    claim: Claim,
}

struct Shared {
    session: Arc<Session>,
    clients: Clients,
    ending: AtomicBool,
}

impl Server {
    /// Listens at `path`, for clients of this user.
    ///
    /// # Errors
    /// When somebody listens there, something else is there, or the system refuses.
    pub fn start(session: Arc<Session>, path: &Path) -> Result<Server, PlaceError> {
        let (listener, claim) = Claim::listen(path)?;
        let refused = |source| PlaceError::Io { path: path.to_owned(), source };
        let listening = listener.try_clone().map_err(refused)?;
        let listening = UnixStream::from(OwnedFd::from(listening));
        let shared = Arc::new(Shared {
            session,
            clients: Clients::default(),
            ending: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let name = "pincow-control".to_owned();
        let thread = Builder::new().name(name).spawn(move || let_in(&theirs, &listener));
        Ok(Server { shared, listening, thread: Some(thread.map_err(refused)?), claim })
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.claim.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Release);
        // It cannot fail for a socket that listens.
        let _ = self.listening.shutdown(std::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.shared.clients.end(END_PATIENCE);
    }
}

fn let_in(shared: &Arc<Shared>, listener: &UnixListener) {
    loop {
        let accepted = listener.accept();
        if shared.ending.load(Ordering::Acquire) {
            return;
        }
        match accepted {
            Ok((stream, _)) => {
                // A client that is not served is let go: it sees the end of its connection.
                let _ = serve(shared, stream);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => thread::sleep(REST),
        }
    }
}

/// Gives a client a thread.
fn serve(shared: &Arc<Shared>, mut stream: UnixStream) -> io::Result<()> {
    stream.set_write_timeout(Some(WRITE_PATIENCE))?;
    let Some(client) = shared.clients.enter(stream.try_clone()?) else {
        let error = ControlError::TooMany { connections: clients::MOST };
        return wire::write_line(&mut stream, &Answer::from(Err(error)));
    };
    let entered = Entered { shared: Arc::clone(shared), client };
    let thread = Builder::new().name("pincow-client".to_owned()).spawn(move || {
        // A connection that breaks is the client's affair.
        let _ = attend(&entered.shared, entered.client, stream);
    });
    thread.map(drop)
}

/// A client that is there until this is dropped, whatever happens to its thread.
struct Entered {
    shared: Arc<Shared>,
    client: u64,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.shared.clients.leave(self.client);
    }
}

/// Answers a client's requests until it has no more.
fn attend(shared: &Shared, client: u64, stream: UnixStream) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let line = wire::read_line(&mut reader, MOST_REQUEST_BYTES)?;
        let Some(_at_work) = shared.clients.begin(client) else { return Ok(()) };
        let answer = match &line {
            Line::End => return Ok(()),
            Line::TooLong => Err(ControlError::TooLong {}),
            Line::Whole(line) if line.trim_ascii().is_empty() => continue,
            Line::Whole(line) => {
                wire::request(line).and_then(|request| shared.session.execute(request))
            }
        };
        let connected = match &answer {
            Ok(Response::Connected { id }) => Some(*id),
            _ => None,
        };
        // What came too early would be lost on the way to the guest.
        if connected.is_some() && !reader.buffer().is_empty() {
            let problem = "something followed a request to connect, before its answer".to_owned();
            let answer = Err(ControlError::NotUnderstood { problem });
            return wire::write_line(&mut writer, &Answer::from(answer));
        }
        wire::write_line(&mut writer, &Answer::from(answer))?;
        if let Some(id) = connected {
            // Where the guest has ended meanwhile, the client sees the end of its connection.
            let _ = shared.session.adopt(id, reader.into_inner());
            return Ok(());
        }
        if line == Line::TooLong {
            return Ok(());
        }
    }
}
