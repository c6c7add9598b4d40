//! Ends that do not keep to the protocol.

use std::path::Path;

use super::*;
use crate::frame::{self, Kind, MOST};
use crate::message::Reply;

/// What the agent answers to `bytes`, when nothing more comes: one reply, an error.
fn answer(bytes: &[u8]) -> Refusal {
    let (near, serving) = raw();
    write(&near, bytes);
    near.shutdown(std::net::Shutdown::Write).unwrap();
    let answer = rest(near);
    serving.join().unwrap();
    let mut reply = Vec::new();
    assert_eq!(frame::read(answer.as_slice(), &mut reply).unwrap(), Kind::Reply);
    assert_eq!(answer.len(), reply.len() + 5);
    match serde_json::from_slice(&reply).unwrap() {
        Reply::Error(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

fn framed(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[kind], (bytes.len() as u32).to_le_bytes().as_slice(), bytes].concat()
}

#[test]
fn what_is_no_request_is_an_error() {
    for (bytes, word) in [
        (vec![], "ended"),
        (vec![1, 0, 0], "ended"),
        (framed(1, b"{\"version\":1"), "not a request"),
        ([1, 10, 0, 0, 0, b'{'].to_vec(), "ended"),
        (framed(0, b""), "0x00"),
        (framed(0xff, b""), "0xff"),
        ([1, 0xff, 0xff, 0xff, 0xff].to_vec(), "0xffffffff"),
        ([[1].as_slice(), &(MOST as u32 + 1).to_le_bytes()].concat(), "0x100001"),
        (framed(3, b"data"), "begins with a request"),
        (framed(2, b"{}"), "begins with a request"),
        (framed(1, b""), "not a request"),
        (framed(1, b"\xff\xfe"), "not a request"),
        (framed(1, b"{}"), "version"),
        (framed(1, br#"{"version":2,"action":{"fly":{}}}"#), "version 2"),
        (framed(1, br#"{"version":1,"action":{"fly":{}}}"#), "fly"),
        (framed(1, br#"{"version":1,"action":{"exec":{"argv":[1]}}}"#), "not a request"),
        (framed(1, br#"{"version":1,"action":{"exec":{"argv":["sh"],"user":"me"}}}"#), "user"),
        (
            framed(1, br#"{"version":1,"action":{"read":{"path":"/etc/passwd\u0000"}}}"#),
            "in the guest",
        ),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "another protocol"),
    ] {
        let refusal = answer(&bytes);
        assert!(refusal.message.contains(word), "{bytes:?}: {refusal:?}");
    }
}

#[test]
fn other_frames_among_the_bytes_of_a_file_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let request =
        serde_json::json!({ "version": 1, "action": { "write": { "path": path, "mode": 420 } } });
    for wrong in [framed(4, b"x"), framed(1, b"{}"), framed(9, b""), vec![3, 1]] {
        let bytes = [framed(1, request.to_string().as_bytes()), framed(3, b"abc"), wrong].concat();
        assert_eq!(answer(&bytes).reason, Reason::Request);
        assert!(!path.exists());
    }
}

/// What does not belong to standard input ends it, and nothing else.
#[test]
fn other_frames_among_standard_input_end_it() {
    let request = br#"{"version":1,"action":{"exec":{"argv":["cat"]}}}"#;
    for wrong in [framed(5, b"x"), framed(7, b""), framed(1, request)] {
        let (near, serving) = raw();
        write(&near, &[framed(1, request), framed(3, b"abc"), wrong].concat());
        let mut frames = Vec::new();
        let mut bytes = Vec::new();
        while let Ok(kind) = frame::read(&near, &mut bytes) {
            frames.push((kind, bytes.clone()));
        }
        serving.join().unwrap();
        assert_eq!(frames[1], (Kind::Stdout, b"abc".to_vec()));
        assert_eq!(frames[2].1, br#"{"exited":{"code":0}}"#);
    }
}

/// An agent that answers `bytes` to everything.
fn liar(bytes: &[u8]) -> Agent {
    let (near, far) = UnixStream::pair().unwrap();
    write(&far, bytes);
    // Its end is kept open on the other side by nobody.
    far.shutdown(std::net::Shutdown::Write).unwrap();
    thread::spawn(move || rest(far));
    Agent::new(near.into())
}

#[test]
fn a_host_does_not_believe_everything() {
    let lies = [
        vec![],
        framed(9, b""),
        framed(2, b"{}"),
        framed(2, br#"{"exited":{"code":256}}"#),
        framed(2, br#""sent""#),
        framed(4, b"out"),
        [2, 0xff, 0xff, 0xff, 0x7f].to_vec(),
        framed(2, br#"{"content":{"mode":420}}"#),
        [
            framed(2, br#"{"content":{"mode":420}}"#),
            framed(3, b"ab"),
            framed(2, br#"{"written":{"bytes":3}}"#),
        ]
        .concat(),
        [framed(2, br#"{"started":{"pid":7}}"#), framed(3, b"ab")].concat(),
        [framed(2, br#"{"started":{"pid":7}}"#), framed(2, br#"{"started":{"pid":7}}"#)].concat(),
    ];
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("to");
    for lie in lies {
        let (input, sink) = (std::io::empty(), std::io::sink());
        assert!(
            liar(&lie).exec(sh("true"), input, sink, std::io::sink(), drop).is_err(),
            "{lie:?}"
        );
        assert!(liar(&lie).get_file("/x", &to).is_err(), "{lie:?}");
        assert!(liar(&lie).put("/x", 0o644, Path::new("x"), b"x".as_slice()).is_err(), "{lie:?}");
        assert!(!to.exists());
    }
}
