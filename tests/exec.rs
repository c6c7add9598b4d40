//! `pincow exec` and `pincow copy`, as their users start them, with an agent of this machine behind a
//! socket that answers like a guest's, and one that answers like the control socket of its process.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use pincow_tests::{Pincow, Started};
use serde_json::Value;
use tempfile::TempDir;

/// A guest, as far as these commands can tell.
struct Guest {
    folder: TempDir,
}

impl Guest {
    fn new() -> Self {
        pincow_guest_agent::default_signals();
        let folder = TempDir::new().expect("a folder");
        listen(&folder.path().join("v"), answer);
        listen(&folder.path().join("control"), connect);
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same, by the guest's name.
    fn by_name(&self, words: &[&str]) -> Pincow {
        let socket = self.path("control").display().to_string();
        let (name, rest) = words.split_first().expect("a command");
        Pincow::new(&[&[*name, "--control", &socket, "--wait", "0"], rest].concat())
    }

    fn command(&self, words: &[&str]) -> Pincow {
        let socket = self.path("v").display().to_string();
        let (name, rest) = words.split_first().expect("a command");
        Pincow::new(&[&[*name, "--vsock", &socket, "--wait", "0"], rest].concat())
    }
}

fn listen(path: &Path, serve: impl Fn(UnixStream) + Copy + Send + 'static) {
    let listener = UnixListener::bind(path).expect("a socket");
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || serve(stream.expect("a connection")));
        }
    });
}

/// A process with one guest, to which it connects its clients.
fn connect(mut stream: UnixStream) {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).expect("a request");
    let request: Value = serde_json::from_str(&line).expect(&line);
    assert_eq!(request["request"], "connect");
    if request["id"] != 1 {
        let refused = br#"{"error":{"kind":"no-guest","id":2,"message":"there is no guest 2"}}"#;
        stream.write_all(refused).and_then(|()| stream.write_all(b"\n")).expect("somebody reads");
        return;
    }
    stream.write_all(b"{\"ok\":{\"response\":\"connected\",\"id\":1}}\n").expect("somebody reads");
    answer(stream);
}

/// What a guest's device does, and then its agent.
fn answer(mut stream: UnixStream) {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while byte != *b"\n" {
        // A program that goes again is nobody's to serve.
        let Ok(()) = stream.read_exact(&mut byte) else { return };
        line.extend(byte);
    }
    if line == b"CONNECT 1024\n" {
        stream.write_all(b"OK 1073741824\n").expect("somebody reads");
        pincow_guest_agent::serve(stream.into());
    }
}

#[test]
fn a_command_has_the_streams_and_the_status_of_this_one() {
    let guest = Guest::new();
    let script = "read line; echo \"out $line $WORD\"; pwd; echo err >&2; exit 42";
    let words = ["exec", "--env", "WORD=b", "--cwd", "/", "--", "sh", "-c", script];
    let ran = guest.command(&words).input("a\n").run();
    assert_eq!(ran.status, Some(42));
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("out a b\n/\n", "err\n"));
    for (script, status) in [("true", 0), ("kill -9 $$", 137), ("exit 125", 125)] {
        let ran = guest.command(&["exec", "--", "sh", "-c", script]).run();
        assert_eq!((ran.status, ran.stderr.as_str()), (Some(status), ""), "{script}");
    }
}

#[test]
fn what_is_not_the_commands_fault_has_statuses_of_its_own() {
    let guest = Guest::new();
    for (words, status, word) in [
        (vec!["exec", "--", "no-such-program"], 127, "no-such-program"),
        (vec!["exec", "--", "/etc/passwd"], 126, "/etc/passwd"),
        (vec!["exec", "--cwd", "/no/folder", "--", "true"], 125, "/no/folder"),
        (vec!["exec", "--port", "5", "--", "true"], 125, "port 5"),
        (vec!["exec", "--env", "A", "--", "true"], 2, "NAME=VALUE"),
        (vec!["exec"], 2, "COMMAND"),
    ] {
        let ran = guest.command(&words).run();
        assert_eq!(ran.status, Some(status), "{words:?}: {}", ran.stderr);
        assert!(ran.stdout.is_empty() && ran.stderr.contains(word), "{}", ran.stderr);
    }
    let nobody = Pincow::new(&["exec", "--vsock", "/no/socket", "--wait", "0", "--", "true"]).run();
    assert_eq!(nobody.status, Some(125));
    assert!(nobody.stderr.contains("/no/socket") && nobody.stderr.contains("--vsock"));
}

#[test]
fn ctrl_c_reaches_the_command() {
    let guest = Guest::new();
    let script = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.05; done";
    is_interrupted(guest.command(&["exec", "--", "sh", "-c", script]).start());
    is_interrupted(guest.by_name(&["exec", "1", "--", "sh", "-c", script]).start());
}

fn is_interrupted(mut started: Started) {
    let mut lines = BufReader::new(started.child.stdout.take().expect("a pipe")).lines();
    assert_eq!(lines.next().expect("a line").expect("text"), "ready");
    let pid = started.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("it runs").success());
    assert_eq!(lines.next().expect("a line").expect("text"), "caught");
    assert_eq!(started.child.wait().expect("it ends").code(), Some(9));
}

#[test]
fn a_guest_is_reached_by_its_name() {
    let guest = Guest::new();
    let script = "read line; echo \"out $line\"; echo err >&2; exit 42";
    let ran = guest.by_name(&["exec", "1", "--", "sh", "-c", script]).input("a\n").run();
    assert_eq!(ran.status, Some(42));
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("out a\n", "err\n"));
    let here = guest.path("a").display().to_string();
    let there = format!("1:{}", guest.path("b").display());
    fs::write(&here, "words").unwrap();
    for (from, to, output) in [(here.as_str(), there.as_str(), ""), (&there, "-", "words")] {
        let ran = guest.by_name(&["copy", from, to]).run();
        let said = (ran.status, ran.stdout.as_str(), ran.stderr.as_str());
        assert_eq!(said, (Some(0), output, ""));
    }
    let nobody = guest.by_name(&["exec", "2", "--", "true"]).run();
    assert_eq!(nobody.status, Some(125));
    assert!(nobody.stderr.contains("no guest 2"), "{}", nobody.stderr);
    guest.by_name(&["copy", &here, "2:/x"]).run().assert_refused(&["no guest 2"]);
    guest.by_name(&["copy", &here, "guest:/x"]).run().assert_refused(&["ID", "--vsock"]);
    guest.command(&["copy", &here, "1:/x"]).run().assert_refused(&["once", "--vsock"]);
    guest.command(&["exec", "1", "--", "true"]).run().assert_refused(&["--vsock"]);
    Pincow::new(&["exec", "--", "true"]).run().assert_refused(&["ID"]);
}

#[test]
fn files_are_copied_with_their_bytes_and_modes() {
    let guest = Guest::new();
    let name = |name: &str| guest.path(name).display().to_string();
    let bytes: Vec<u8> = (0..700_001_u32).map(|at| (at * 7 + at / 251) as u8).collect();
    fs::write(guest.path("a"), &bytes).unwrap();
    fs::set_permissions(guest.path("a"), fs::Permissions::from_mode(0o750)).unwrap();
    let copied = |from: &str, to: &str| {
        let ran = guest.command(&["copy", from, to]).run();
        assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{from} {to}");
        ran.stdout
    };
    assert_eq!(copied(&name("a"), &format!("guest:{}", name("b"))), "");
    assert_eq!(copied(&format!("guest:{}", name("b")), &name("c")), "");
    for file in ["b", "c"] {
        assert!(fs::read(guest.path(file)).unwrap() == bytes);
        assert_eq!(fs::metadata(guest.path(file)).unwrap().permissions().mode() & 0o7777, 0o750);
    }
    let ran = guest.command(&["copy", "-", &format!("guest:{}", name("d"))]).input("words").run();
    assert_eq!(ran.status, Some(0));
    assert_eq!(copied(&format!("guest:{}", name("d")), "-"), "words");
}

#[test]
fn copies_that_cannot_be_are_refused() {
    let guest = Guest::new();
    let folder = guest.folder.path().display().to_string();
    let inside = format!("guest:{folder}");
    let nothing = format!("guest:{folder}/nothing");
    for (from, to, words) in [
        ("/etc/passwd", "/tmp/x", ["guest:", "one of the two"]),
        ("guest:/a", "guest:/b", ["guest:", "one of the two"]),
        ("/no/file", "guest:/b", ["/no/file", "No such file"]),
        ("/etc", "guest:/b", ["/etc", "folder"]),
        ("/etc/passwd", inside.as_str(), [folder.as_str(), "in the guest"]),
        (nothing.as_str(), "-", ["nothing", "in the guest"]),
        (inside.as_str(), "-", [folder.as_str(), "folder"]),
        ("guest:/etc/passwd", "/no/folder/x", ["/no/folder/x", "No such file"]),
    ] {
        guest.command(&["copy", from, to]).run().assert_refused(&words);
    }
    assert_eq!(fs::read_dir(&guest.folder).unwrap().count(), 2, "the sockets");
}
