//! Commands in a Linux guest, by its agent, before and after a fork.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::sync::Arc;

use pincow_tests::{Pincow, Ran, Started};
use pincow_vmm::control::{Asking, Server, Session};
use pincow_vmm::guest::{ChildConfig, ChildVsock, Guest, GuestConfig, VsockConfig};
use pincow_vmm::virtio::vsock::HostSocket;

use super::console::{Console, LONG};
use crate::Lab;

/// A guest with a socket at `path`, once its shell is there.
fn boot(lab: &Lab, path: &Path, vcpus: u32) -> (Guest, Console) {
    let socket = Some(HostSocket::bind(path).expect("a socket"));
    let vsock = Some(VsockConfig { cid: 3.try_into().expect("a CID"), socket });
    lab.boot_as(&lab.linux("bzImage", None), GuestConfig { vcpus, vsock, ..Default::default() })
}

fn pincow(command: &str, path: &Path, words: &[&str]) -> Pincow {
    let path = path.display().to_string();
    let patience = LONG.as_secs().to_string();
    Pincow::new(&[&[command, "--vsock", &path, "--wait", &patience], words].concat())
}

/// Runs a command of the guest's shell, which has `input` to read.
pub(crate) fn exec(path: &Path, script: &str, input: &str) -> Ran {
    pincow("exec", path, &["--", "sh", "-c", script]).input(input).run()
}

#[test]
fn commands_return_their_output_and_status_and_files_their_bytes() {
    let Some(lab) = Lab::new() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("v");
    let (guest, console) = boot(&lab, &path, 2);
    let ran =
        exec(&path, "read line; echo \"$line\" from $(uname -s); echo err >&2; exit 42", "hi\n");
    assert_eq!(ran.status, Some(42), "{}\n{}", ran.stderr, console.text());
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("hi from Linux\n", "err\n"));
    assert_eq!(exec(&path, "kill -9 $$", "").status, Some(137));
    // The agent's own shell has started it in its background.
    assert_eq!(exec(&path, "kill -INT $$", "").status, Some(130));
    assert_eq!(pincow("exec", &path, &["--", "no-such-program"]).run().status, Some(127));
    // More than all buffers on the way hold, in both directions.
    let text: String = (0..100_000).map(|line| format!("line {line}\n")).collect();
    let ran = exec(&path, "tee /tmp/text | cat", &text);
    assert_eq!(ran.status, Some(0));
    assert!(ran.stdout == text);
    let copy = folder.path().join("copy");
    let to = copy.display().to_string();
    let ran = pincow("copy", &path, &["guest:/tmp/text", &to]).run();
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""));
    assert!(std::fs::read_to_string(&copy).expect("a copy") == text);
    assert_eq!(pincow("copy", &path, &[&to, "guest:/tmp/again"]).run().status, Some(0));
    assert_eq!(exec(&path, "cmp /tmp/text /tmp/again && echo same", "").stdout, "same\n");
    println!("exec and copy: {:?}", guest.vsock_counts());
    drop(guest);
    assert!(!path.exists());
}

#[test]
fn a_guest_is_reached_by_its_name_and_switched_off() {
    let Some(lab) = Lab::new() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let vsock = Some(VsockConfig { cid: 3.try_into().expect("a CID"), socket: None });
    let config = GuestConfig { vcpus: 2, vsock, ..Default::default() };
    let (guest, console) = lab.boot_as(&lab.linux("bzImage", None), config);
    let session = Arc::new(Session::new(guest, Asking::Agent));
    let socket = folder.path().join("control");
    let _server = Server::start(Arc::clone(&session), &socket).expect("a socket");
    let (socket, patience) = (socket.display().to_string(), LONG.as_secs().to_string());
    let named = |command: &str, words: &[&str]| {
        Pincow::new(&[&[command, "--control", &socket], words].concat()).run()
    };
    let exec = |id: &str, script: &str| {
        let ran = named("exec", &[id, "--wait", &patience, "--", "sh", "-c", script]);
        (ran.status, ran.stdout, ran.stderr)
    };
    let said = |status, output: &str| (Some(status), output.to_owned(), String::new());
    assert_eq!(exec("1", "echo hi; exit 42"), said(42, "hi\n"), "{}", console.text());
    let ran = named("fork", &["1", "--count", "2", "--hostname", "child-{}"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    for (id, name) in [("2", "child-1\n"), ("3", "child-2\n")] {
        assert_eq!(exec(id, "hostname"), said(0, name));
    }
    assert_ne!(exec("1", "hostname").1, "child-1\n");
    // Whatever runs there: the guest ends as a machine does that is switched off.
    assert_eq!(exec("3", "sleep 1000 >/dev/null 2>&1 &"), said(0, ""));
    for id in ["3", "1", "2"] {
        let ran = named("stop", &[id, "--wait", &patience, "--json"]);
        assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{}", console.text());
        let told = ran.json();
        assert_eq!((&told["how"], &told["ended"]["reason"]), (&"told".into(), &"power-off".into()));
    }
    assert!(session.close_if_over());
}

/// A `cat` that runs in a guest, and its other end here.
struct Cat {
    started: Started,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Cat {
    fn new(path: &Path) -> Self {
        let mut started = pincow("exec", path, &["--", "cat"]).start();
        let to = started.child.stdin.take().expect("a pipe");
        let from = BufReader::new(started.child.stdout.take().expect("a pipe"));
        Self { started, to, from }
    }

    fn answers(&mut self, line: &str) {
        writeln!(self.to, "{line}").expect("it reads");
        let mut answer = String::new();
        self.from.read_line(&mut answer).expect("it answers");
        assert_eq!(answer.trim_end(), line);
    }

    fn end(self) {
        let Self { mut started, to, .. } = self;
        drop(to);
        assert_eq!(started.child.wait().expect("it ends").code(), Some(0));
    }
}

#[test]
fn a_connection_stays_with_the_parent_and_the_child_takes_new_ones() {
    let Some(lab) = Lab::new() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("parent");
    let (parent, _console) = boot(&lab, &path, 2);
    let mut cat = Cat::new(&path);
    cat.answers("before");
    let mut sides = vec![(path, parent)];
    // A child, and its child.
    for name in ["child", "grandchild"] {
        let path = folder.path().join(name);
        let socket = Some(HostSocket::bind(&path).expect("a socket"));
        let vsock = Some(ChildVsock { cid: None, socket });
        let console = Console::default();
        let own = ChildConfig { vsock, ..ChildConfig::from(console.sink()) };
        let (child, _) = sides.last().expect("one").1.fork(own).expect("a fork");
        child.machine().start().expect("it starts");
        sides.push((path, child));
        cat.answers(name);
        // What the cat of the child is connected to is gone there, and so is the cat.
        let script = "while pidof cat >/dev/null; do sleep 0.1; done; hostname twin; hostname";
        let ran = exec(&sides.last().expect("one").0, script, "");
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(0), "twin\n"), "{}", console.text());
    }
    assert_eq!(exec(&sides[0].0, "pidof cat >/dev/null && hostname", "").status, Some(0));
    assert_ne!(exec(&sides[0].0, "hostname", "").stdout, "twin\n");
    cat.answers("after");
    cat.end();
    for (path, guest) in &sides {
        println!("{}: {:?}", path.display(), guest.vsock_counts());
    }
}
