//! Networks of this host that have nothing in common: a namespace each, with a tap in it.

use std::process::{Child, Command, Stdio};

use pincow_vmm::virtio::net::{Link, Tap};

/// The host's address in each of them.
pub(crate) const HOST: &str = "10.7.0.1";

/// A network namespace, which ends with the process that keeps it.
pub(crate) struct Network {
    keeper: Child,
    tap: String,
}

impl Drop for Network {
    fn drop(&mut self) {
        // It sleeps, and has nothing to lose.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

fn run(command: &[&str]) -> Result<String, String> {
    let output = Command::new(command[0]).args(&command[1..]).output();
    let output = output.map_err(|error| format!("{command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!(
        "{command:?}: {}\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    ))
}

impl Network {
    /// Whether this user and this host can have any. Says why not.
    pub(crate) fn possible() -> bool {
        let probed = run(&["unshare", "-n", "ip", "tuntap", "add", "pincow", "mode", "tap"]);
        if let Err(error) = &probed {
            eprintln!("skipped: no taps, or no network namespaces: {error}");
        }
        probed.is_ok()
    }

    /// The network of that number, and what a card is plugged into there.
    pub(crate) fn new(number: usize) -> (Self, Link) {
        let tap = format!("pincow{number}");
        let keeper = Command::new("unshare")
            .args(["-n", "sh", "-c", "echo there; exec sleep 100000"])
            .stdout(Stdio::piped())
            .spawn();
        let mut network = Self { keeper: keeper.expect("unshare"), tap };
        // The namespace is there when the shell says so.
        let mut line = [0; 6];
        let stdout = network.keeper.stdout.as_mut().expect("a pipe");
        std::io::Read::read_exact(stdout, &mut line).expect("a namespace");
        let (pid, tap) = (network.keeper.id().to_string(), network.tap.clone());
        let outside = |words: &[&str]| run(words).unwrap_or_else(|error| panic!("{error}"));
        outside(&["ip", "tuntap", "add", &tap, "mode", "tap"]);
        let link = Tap::open(&tap).unwrap_or_else(|error| panic!("{error}"));
        outside(&["ip", "link", "set", &tap, "netns", &pid]);
        network.run(&["ip", "address", "add", &format!("{HOST}/24"), "dev", &tap]);
        network.run(&["ip", "link", "set", &tap, "up"]);
        (network, Box::new(link))
    }

    pub(crate) fn tap(&self) -> &str {
        &self.tap
    }

    fn inside(&self, words: &[&str]) -> Result<String, String> {
        let pid = self.keeper.id().to_string();
        run(&[&["nsenter", "-t", &pid, "-n"], words].concat())
    }

    /// Runs a command in it; returns what it printed.
    pub(crate) fn run(&self, words: &[&str]) -> String {
        self.inside(words).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Whether somebody answers there.
    pub(crate) fn ping(&self, address: &str) -> Result<String, String> {
        self.inside(&["ping", "-c", "3", "-W", "30", address])
    }
}
