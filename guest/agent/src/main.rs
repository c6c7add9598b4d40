//! The agent: listens on a port of vsock, and serves the host.

use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use pincow_guest_agent::{PORT, default_signals, serve};
use socket2::{Domain, SockAddr, Socket, Type};

const HELP: &str = "\
pincow-agent runs commands and copies files in a guest for its host (pincow exec, pincow copy).

  pincow-agent [--port PORT]   listens on that port of vsock (1024) until it is ended
";

/// The address of the host, and that of anybody here.
const CID_HOST: u32 = 2;
const CID_ANY: u32 = u32::MAX;

/// Connections that are served at one time. Others are closed.
const MOST_SESSIONS: usize = 256;

/// How long nothing is accepted when the system has run out of something.
const PAUSE: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let port = match words.as_slice() {
        [] => PORT,
        ["--port", number] => match number.parse() {
            Ok(port) => port,
            Err(_) => return fail(&format!("`{number}` is not a port")),
        },
        ["-h" | "--help"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => return fail(HELP),
    };
    default_signals();
    match listen(port) {
        Ok(listener) => accept(&listener),
        Err(error) => fail(&format!(
            "listening on port {port} of vsock: {error}: is the driver there (modprobe \
             vmw_vsock_virtio_transport)?"
        )),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("pincow-agent: {message}");
    ExitCode::from(2)
}

fn listen(port: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::VSOCK, Type::STREAM.cloexec(), None)?;
    socket.bind(&SockAddr::vsock(CID_ANY, port))?;
    socket.listen(128)?;
    Ok(socket)
}

/// Serves the host for ever.
fn accept(listener: &Socket) -> ! {
    let sessions = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok((connection, address)) = listener.accept() else {
            thread::sleep(PAUSE);
            continue;
        };
        // A program of the guest is not to do through the agent what it may not do itself.
        let from_host = address.as_vsock_address().is_some_and(|(cid, _)| cid == CID_HOST);
        if !from_host || sessions.fetch_add(1, Ordering::AcqRel) >= MOST_SESSIONS {
            if from_host {
                sessions.fetch_sub(1, Ordering::AcqRel);
            }
            continue;
        }
        let ended = Arc::clone(&sessions);
        let session = thread::Builder::new().spawn(move || {
            serve(OwnedFd::from(connection));
            ended.fetch_sub(1, Ordering::AcqRel);
        });
        if session.is_err() {
            sessions.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
