//! Clients of a real socket, polite and otherwise.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::control::session::tests::{session, session_of};
use crate::control::wire::Refusal;
use crate::control::{Asking, Client, ClientError, GuestState, Own, Request, Response};
use crate::guest::{GuestConfig, VsockConfig};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Bench {
    server: Server,
    path: PathBuf,
    _folder: TempDir,
}

fn bench() -> Option<Bench> {
    Some(of(session()?))
}

fn of(session: Session) -> Bench {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("socket");
    let server = Server::start(Arc::new(session), &path).unwrap();
    Bench { server, path, _folder: folder }
}

impl Bench {
    fn client(&self) -> Client {
        Client::connect(&self.path, PATIENCE).unwrap()
    }

    fn raw(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn works(&self) {
        assert!(matches!(self.client().call(&Request::Ps {}), Ok(Response::Process(_))));
    }
}

fn answer(stream: &mut BufReader<UnixStream>) -> Answer {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    serde_json::from_str(&line).expect(&line)
}

#[test]
fn a_client_gets_what_the_library_gets() {
    let Some(bench) = bench() else { return };
    let mut client = bench.client();
    let forked = client.call(&Request::Fork { id: 1, own: Own::default() }).unwrap();
    assert!(matches!(&forked, Response::Made(made) if made.id == 2), "{forked:?}");
    let paused = client.call(&Request::Pause { id: 2 }).unwrap();
    assert_eq!(paused, Response::State { id: 2, state: GuestState::Paused });
    let refused = bench.client().call(&Request::Pause { id: 7 }).unwrap_err();
    assert!(matches!(refused, ClientError::Refused(ControlError::NoGuest { id: 7 })), "{refused}");
    assert!(matches!(client.call(&Request::Stats { id: 2 }), Ok(Response::Stats(_))));
}

#[test]
fn what_is_not_understood_is_answered_and_the_next_line_is_read() {
    let Some(bench) = bench() else { return };
    let mut stream = bench.raw();
    let lines: &[&[u8]] =
        &[b"nonsense", b"\xff\x00\xfe", b"{}", b"", b"  ", b"{\"request\":\"ps\"}"];
    stream.write_all(&lines.join(&b'\n')).unwrap();
    stream.write_all(b"\n").unwrap();
    let mut reader = BufReader::new(stream);
    for _ in 0..3 {
        let said = answer(&mut reader);
        let not_understood =
            |refusal: &Refusal| matches!(refusal.error, ControlError::NotUnderstood { .. });
        assert!(matches!(&said, Answer::Error(refusal) if not_understood(refusal)), "{said:?}");
    }
    assert!(matches!(answer(&mut reader), Answer::Ok(Response::Process(_))));
}

#[test]
fn a_line_without_an_end_is_cut_short() {
    let Some(bench) = bench() else { return };
    let mut stream = bench.raw();
    let writer = stream.try_clone().unwrap();
    // It may be let go of before all is written.
    let writing = std::thread::spawn(move || { &writer }.write_all(&vec![b'x'; 4 << 20]).is_ok());
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    writing.join().unwrap();
    assert!(said.starts_with(br#"{"error":{"kind":"too-long""#), "{said:?}");
    bench.works();
}

#[test]
fn half_a_request_is_none() {
    let Some(bench) = bench() else { return };
    let mut stream = bench.raw();
    stream.write_all(br#"{"request":"stop","id":1,"kill":true}"#).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).unwrap();
    assert_eq!(said, b"");
    bench.works();
    let Ok(Response::Process(process)) = bench.client().call(&Request::Ps {}) else { panic!() };
    assert_eq!(process.guests[0].state, GuestState::Running);
}

/// A server whose guest has a vsock device, and no driver for it.
fn with_sockets() -> Option<Bench> {
    let vsock = Some(VsockConfig { cid: 3.try_into().unwrap(), socket: None });
    let config = GuestConfig { vsock, ..GuestConfig::default() };
    Some(of(session_of(config, Asking::EmbeddedGuest)?))
}

#[test]
fn a_client_becomes_a_program_that_is_connected_to_a_guest() {
    let Some(bench) = with_sockets() else { return };
    let mut stream = bench.client().connect_to_guest(1).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // Its device, which no driver has touched, closes what it is given.
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
    let refused = bench.client().connect_to_guest(7).err().unwrap();
    assert!(matches!(refused, ClientError::Refused(ControlError::NoGuest { id: 7 })), "{refused}");
    bench.works();
}

#[test]
fn where_nothing_can_be_connected_the_client_stays_one() {
    let Some(bench) = bench() else { return };
    let mut client = bench.client();
    let refused = client.call(&Request::Connect { id: 1 }).unwrap_err();
    assert!(refused.to_string().contains("no vsock device"), "{refused}");
    assert!(matches!(client.call(&Request::Ps {}), Ok(Response::Process(_))));
}

/// What comes before the answer is lost on no way: it is refused.
#[test]
fn who_does_not_wait_for_the_answer_is_not_connected() {
    let Some(bench) = with_sockets() else { return };
    let mut stream = bench.raw();
    stream.write_all(b"{\"request\":\"connect\",\"id\":1}\nCONNECT 1024\n").unwrap();
    let mut reader = BufReader::new(stream);
    let said = answer(&mut reader);
    assert!(
        matches!(&said, Answer::Error(Refusal { error: ControlError::NotUnderstood { .. }, .. })),
        "{said:?}"
    );
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    bench.works();
}

/// More of them than are served at a time. Those that have been silent for longest go.
#[test]
fn clients_that_say_nothing_harm_nobody() {
    let Some(bench) = bench() else { return };
    let silent: Vec<_> = (0..3 * clients::MOST)
        .map(|number| {
            let mut stream = bench.raw();
            if number % 2 == 0 {
                stream.write_all(b"{\"request\":").unwrap();
            }
            stream
        })
        .collect();
    bench.works();
    let mut byte = [0];
    assert_eq!((&silent[0]).read(&mut byte).unwrap(), 0, "the first one was let go");
}

/// Requests that nobody waits for are carried out all the same; the answer is lost.
#[test]
fn clients_that_do_not_wait_harm_nobody() {
    let Some(bench) = bench() else { return };
    for _ in 0..8 {
        let mut stream = bench.raw();
        stream.write_all(b"{\"request\":\"fork\",\"id\":1}\n{\"request\":\"ps\"}\n").unwrap();
    }
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let Ok(Response::Process(process)) = bench.client().call(&Request::Ps {}) else { panic!() };
        if process.guests.len() == 1 + 8 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{process:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_server_that_ends_lets_everybody_go_and_takes_its_socket_away() {
    let Some(bench) = bench() else { return };
    let (mut silent, mut client) = (bench.raw(), bench.client());
    client.call(&Request::Ps {}).unwrap();
    let session = Arc::downgrade(&bench.server.shared.session);
    drop(bench.server);
    assert!(!bench.path.exists());
    let mut said = Vec::new();
    assert_eq!(silent.read_to_end(&mut said).unwrap_or(0), 0);
    assert!(matches!(client.call(&Request::Ps {}), Err(ClientError::Gone { .. })));
    let deadline = std::time::Instant::now() + PATIENCE;
    while session.strong_count() > 0 {
        assert!(std::time::Instant::now() < deadline, "a thread still holds the session");
        std::thread::sleep(Duration::from_millis(2));
    }
}
