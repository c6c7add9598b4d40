//! `pincow exec` and `pincow copy`, as their users start them, with an agent of this machine behind a
//! socket that answers like a guest's.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use pincow_tests::Pincow;
use tempfile::TempDir;

/// A guest, as far as these commands can tell.
struct Guest {
    folder: TempDir,
}

impl Guest {
    fn new() -> Self {
        pincow_guest_agent::default_signals();
        let folder = TempDir::new().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("v")).expect("a socket");
        thread::spawn(move || {
            for stream in listener.incoming() {
                thread::spawn(move || answer(stream.expect("a connection")));
            }
        });
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Pincow {
        let socket = self.path("v").display().to_string();
        let (name, rest) = words.split_first().expect("a command");
        Pincow::new(&[&[*name, "--vsock", &socket, "--wait", "0"], rest].concat())
    }
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
    let mut started = guest.command(&["exec", "--", "sh", "-c", script]).start();
    let mut lines = BufReader::new(started.child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    let pid = started.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(lines.next().unwrap().unwrap(), "caught");
    assert_eq!(started.child.wait().unwrap().code(), Some(9));
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
    assert_eq!(fs::read_dir(&guest.folder).unwrap().count(), 1, "the socket");
}
