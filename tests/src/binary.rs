//! The real program, as its users start it.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The program, with the options that it is started with and a directory for temporary files that
/// nobody else uses.
pub struct Pincow {
    command: Command,
    input: String,
    temporary: TempDir,
}

/// The program while it runs.
pub struct Started {
    /// Its process.
    pub child: Child,
    temporary: TempDir,
}

/// What a run of the program came to.
pub struct Ran {
    /// The exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said beside.
    pub stderr: String,
    /// What it left in its directory for temporary files.
    pub left_behind: Vec<PathBuf>,
}

impl Pincow {
    /// The program with these arguments, and nothing to read.
    #[must_use]
    pub fn new(args: &[&str]) -> Self {
        Self::wrapped(Command::new(path()), args)
    }

    /// The arguments given to a command that starts the program.
    pub(crate) fn wrapped(mut command: Command, args: &[&str]) -> Self {
        let temporary = TempDir::new().expect("a temporary directory");
        open_to_all(temporary.path());
        command.args(args).env("TMPDIR", temporary.path());
        Self { command, input: String::new(), temporary }
    }

    /// What it reads from stdin.
    #[must_use]
    pub fn input(mut self, text: &str) -> Self {
        text.clone_into(&mut self.input);
        self
    }

    /// An environment variable that it gets.
    #[must_use]
    pub fn env(mut self, name: &str, value: &Path) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it to its end.
    #[must_use]
    pub fn run(mut self) -> Ran {
        let input = std::mem::take(&mut self.input);
        let Started { mut child, temporary } = self.start();
        let mut to = child.stdin.take().expect("a pipe");
        // Beside reading: a program may answer before it has read all, and waits for us then.
        let writer = std::thread::spawn(move || {
            // A program that ends without reading is none of the tests' business here.
            let _ = to.write_all(input.as_bytes());
        });
        let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
        writer.join().expect("writing does not panic");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        let left_behind = entries(temporary.path());
        Ran { status: status.code(), stdout: text(stdout), stderr: text(stderr), left_behind }
    }

    /// Starts it, with pipes for all that it reads and says, which is for the caller to do.
    #[must_use]
    pub fn start(mut self) -> Started {
        let pipe = Stdio::piped;
        let child = spawn(self.command.stdin(pipe()).stdout(pipe()).stderr(pipe()));
        Started { child, temporary: self.temporary }
    }
}

/// Starts a program that may just have been copied: what another test starts at the same time has the copy open for
/// writing until it executes its own program (ETXTBSY, execve(2)).
fn spawn(command: &mut Command) -> Child {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match command.spawn() {
            Err(error)
                if error.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            started => return started.expect("the program starts"),
        }
    }
}

impl Started {
    /// What is in its directory for temporary files.
    #[must_use]
    pub fn left_behind(&self) -> Vec<PathBuf> {
        entries(self.temporary.path())
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = directory.read_dir().expect("readable");
    entries.map(|entry| entry.expect("readable").path()).collect()
}

impl Ran {
    /// The JSON values that it printed, one a line, after a run that went well.
    #[must_use]
    pub fn json_lines(&self) -> Vec<Value> {
        assert_eq!(self.status, Some(0), "{}", self.stderr);
        let parse = |line| serde_json::from_str(line).expect(line);
        self.stdout.lines().map(parse).collect()
    }

    /// The one JSON object that it printed.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).expect(&self.stdout)
    }

    /// Checks that bad input, or a host that lacks something, was answered as it should be: with
    /// status 2, by a short message that has all of `words`, with no data, and nothing left over.
    pub fn assert_refused(&self, words: &[&str]) {
        assert_eq!(self.status, Some(2), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "");
        for word in words {
            assert!(self.stderr.contains(word), "no `{word}` in: {}", self.stderr);
        }
        assert!(self.stderr.len() < 700, "a long story: {}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        assert!(self.left_behind.is_empty(), "left behind: {:?}", self.left_behind);
    }
}

/// Lets other users work in a directory.
fn open_to_all(directory: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let all = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(directory, all).expect("our own directory");
}

/// The program that is tested, where there is no cargo that could build it.
const PROGRAM_VARIABLE: &str = "PINCOW_TEST_PROGRAM";

/// The program: the one that `PINCOW_TEST_PROGRAM` names, or one that is built once, in the profile
/// of the test that asks.
pub(crate) fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| std::env::var_os(PROGRAM_VARIABLE).map_or_else(build, PathBuf::from))
}

/// A program of the tests' own: where cargo built it, or, where there is no cargo, beside the program
/// that is tested.
#[must_use]
pub fn companion(built: &str) -> PathBuf {
    let built = Path::new(built);
    match (std::env::var_os(PROGRAM_VARIABLE), built.file_name()) {
        (Some(program), Some(name)) => Path::new(&program).with_file_name(name),
        _ => built.to_owned(),
    }
}

fn build() -> PathBuf {
    // A test is <target>/<profile>/deps/<test>.
    let test = std::env::current_exe().expect("the test's own path");
    let profile_dir = test.ancestors().nth(2).expect("two directories up");
    let target_dir = profile_dir.parent().expect("a target directory");
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => panic!("{} is no profile", profile_dir.display()),
    };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "pincow-vmm", "--bin", "pincow"])
        .args(["--profile", profile])
        .arg("--target-dir")
        .arg(target_dir)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo starts");
    assert!(built.success(), "the program does not build");
    profile_dir.join("pincow")
}
