//! The clients of a server: who is there, and who is at work.

use std::collections::BTreeMap;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// How many clients are served at a time.
pub(super) const MOST: usize = 64;

/// The clients of a server.
#[derive(Default)]
pub(super) struct Clients {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    clients: BTreeMap<u64, Client>,
    entered: u64,
    ending: bool,
}

struct Client {
    stream: UnixStream,
    at_work: bool,
    heard: Instant,
}

/// A request is carried out while this lives.
pub(super) struct AtWork<'a> {
    clients: &'a Clients,
    client: u64,
}

impl Clients {
    /// Takes a client in. Where there are too many, the one goes that has been silent for longest; `None`
    /// when all of them are at work.
    pub(super) fn enter(&self, stream: UnixStream) -> Option<u64> {
        let mut state = self.state.lock();
        if state.clients.len() >= MOST {
            let idle = state.clients.iter().filter(|(_, client)| !client.at_work);
            let (&longest, _) = idle.min_by_key(|(_, client)| client.heard)?;
            if let Some(client) = state.clients.remove(&longest) {
                // Its thread sees the end of the connection.
                let _ = client.stream.shutdown(Shutdown::Both);
            }
        }
        state.entered += 1;
        let entered = state.entered;
        let client = Client { stream, at_work: false, heard: Instant::now() };
        state.clients.insert(entered, client);
        Some(entered)
    }

    /// A client has sent a request; `None` when it was let go.
    pub(super) fn begin(&self, client: u64) -> Option<AtWork<'_>> {
        let mut state = self.state.lock();
        if state.ending {
            return None;
        }
        let there = state.clients.get_mut(&client)?;
        (there.at_work, there.heard) = (true, Instant::now());
        Some(AtWork { clients: self, client })
    }

    /// A client has gone.
    pub(super) fn leave(&self, client: u64) {
        self.state.lock().clients.remove(&client);
    }

    /// Takes no further requests, waits for those that are carried out, for `patience` at most, and lets
    /// everybody go.
    pub(super) fn end(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut state = self.state.lock();
        state.ending = true;
        while state.clients.values().any(|client| client.at_work) && Instant::now() < deadline {
            self.changed.wait_until(&mut state, deadline);
        }
        for client in state.clients.values() {
            let _ = client.stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        let mut state = self.clients.state.lock();
        if let Some(client) = state.clients.get_mut(&self.client) {
            (client.at_work, client.heard) = (false, Instant::now());
        }
        self.clients.changed.notify_all();
    }
}
