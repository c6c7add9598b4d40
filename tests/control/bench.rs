//! A `pincow run` of the embedded guest with a disk, and commands that control it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use pincow_tests::{Pincow, Started};
use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Of the disk.
const SECTORS: u64 = 4096;

/// A run, with a runtime folder of its own.
pub(crate) struct Bench {
    run: Started,
    stdin: Option<ChildStdin>,
    said: Receiver<String>,
    folder: TempDir,
}

/// A number of a JSON object.
pub(crate) fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("no number {name} in {value}"))
}

impl Bench {
    /// A guest that is ready; `None` where there is no KVM.
    pub(crate) fn new() -> Option<Self> {
        Self::with(&[])
    }

    /// The same with more options.
    pub(crate) fn with(options: &[&str]) -> Option<Self> {
        if !Path::new("/dev/kvm").exists() {
            println!("skipped: there is no /dev/kvm here");
            return None;
        }
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let disk = folder.path().join("disk");
        fs::write(&disk, vec![0; SECTORS as usize * 512]).unwrap();
        let disk = format!("{},temporary", disk.display());
        // A socket's path may have 107 bytes.
        let runtime = folder.path().join("r");
        fs::create_dir(&runtime).unwrap();
        let args = [&["run", "--disk", &disk], options].concat();
        let mut run = Pincow::new(&args).env("XDG_RUNTIME_DIR", &runtime).start();
        let stdin = run.child.stdin.take();
        let lines = BufReader::new(run.child.stderr.take().unwrap()).lines();
        let (tell, said) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let bench = Self { run, stdin, said, folder };
        bench.wait_for("pincow: the guest is ready");
        Some(bench)
    }

    /// How guest `id` is called.
    pub(crate) fn name(&self, id: u64) -> String {
        format!("{}.{id}", self.run.child.id())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn disk(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join(format!("r/pincow/{}.sock", self.run.child.id()))
    }

    /// Lets the guest keep its disk busy.
    pub(crate) fn storm(&mut self) {
        self.say(&format!("storm {SECTORS} 64 7"));
        self.wait_for("guest 1: the storm is on");
    }

    /// Types a line at the console.
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.stdin.as_ref().unwrap(), "{line}").unwrap();
    }

    /// Waits for the console to say a line that begins so.
    pub(crate) fn wait_for(&self, beginning: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut before = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.said.recv_timeout(left) {
                Ok(line) if line.starts_with(beginning) => return line,
                Ok(line) => before.push(line),
                Err(error) => {
                    let stats = self.pincow(&["stats", "1"]).run().stdout;
                    panic!("no `{beginning}` ({error}) after {before:#?}\n{stats}");
                }
            }
        }
    }

    /// A command that looks for processes where this one is.
    pub(crate) fn pincow(&self, args: &[&str]) -> Pincow {
        Pincow::new(args).env("XDG_RUNTIME_DIR", &self.folder.path().join("r"))
    }

    /// What a command answers as JSON, one value a line.
    pub(crate) fn json(&self, args: &[&str]) -> Vec<Value> {
        self.pincow(&[args, &["--json"]].concat()).run().json_lines()
    }

    pub(crate) fn refused(&self, args: &[&str], words: &[&str]) {
        self.pincow(args).run().assert_refused(words);
    }

    /// The processes that are listed.
    pub(crate) fn processes(&self) -> Vec<Value> {
        self.json(&["ps"])[0]["processes"].as_array().unwrap().clone()
    }

    /// The guests of this one.
    pub(crate) fn guests(&self) -> Vec<Value> {
        self.processes()[0]["guests"].as_array().unwrap().clone()
    }

    /// Waits until `done`.
    pub(crate) fn until(&self, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends the process a signal.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.run.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for the process to end; its exit status.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.run.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the relatives of the first guest at once, and lets it end with this code.
    pub(crate) fn end(&mut self, code: i32) {
        let guests = if self.socket().exists() { self.guests() } else { Vec::new() };
        for guest in guests.iter().skip(1).filter(|guest| guest["state"] != "ended") {
            self.json(&["stop", "--kill", guest["name"].as_str().unwrap()]);
        }
        self.say(&format!("exit {code}"));
        assert_eq!(self.wait(), Some(code));
        assert!(!self.socket().exists());
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.run.child.kill();
        let _ = self.run.child.wait();
    }
}
