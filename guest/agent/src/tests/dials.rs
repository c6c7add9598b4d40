//! The way through a guest's socket.

use std::os::unix::net::UnixListener;
use std::time::Duration;

use super::*;
use crate::client::dial;

fn line(stream: &mut UnixStream) -> String {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while byte != *b"\n" {
        stream.read_exact(&mut byte).unwrap();
        line.extend(byte);
    }
    String::from_utf8(line).unwrap()
}

/// A device that answers the line of each connection with the next of `answers`.
fn device(listener: UnixListener, answers: &'static [&'static str]) -> JoinHandle<()> {
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            assert_eq!(line(&mut stream), "CONNECT 1024\n");
            write(&stream, answer.as_bytes());
            if answer.starts_with("OK") {
                crate::serve(stream.into());
            }
        }
    })
}

#[test]
fn it_is_tried_until_somebody_listens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v");
    let listener = UnixListener::bind(&path).unwrap();
    let device = device(listener, &["", "NO\n", "OK 1073741824\n"]);
    let stream = dial(&path, crate::PORT, Duration::from_secs(60)).unwrap();
    let mut output = Vec::new();
    let ended = Agent::new(stream).exec(
        sh("echo hi"),
        std::io::empty(),
        &mut output,
        std::io::sink(),
        drop,
    );
    assert_eq!((ended.unwrap(), output.as_slice()), (Ended::Exited(0), b"hi\n".as_slice()));
    device.join().unwrap();
}

#[test]
fn where_nobody_is_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v");
    let failed = dial(&path, 1024, Duration::ZERO).unwrap_err();
    assert!(matches!(failed, ClientError::Socket { .. }), "{failed}");
    assert!(failed.to_string().contains("--vsock"), "{failed}");
    for answers in [&[""], &["OKAY, WHAT DO YOU WANT\n"], &["FINE\n"], &["no line and no end"]] {
        let _ = std::fs::remove_file(&path);
        let device = device(UnixListener::bind(&path).unwrap(), answers);
        let failed = dial(&path, 1024, Duration::ZERO).unwrap_err();
        assert!(matches!(failed, ClientError::Agent { port: 1024, .. }), "{failed}");
        device.join().unwrap();
    }
}
