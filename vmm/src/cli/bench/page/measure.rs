//! The benchmarks, run one after the other, each in a process of its own: so that none finds what
//! another one left in its process, and that the command on the page is one that does the same again.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::super::super::Failure;
use super::super::machine::quoted;
use super::Args;
use super::input::{self, Run};
use super::out::Place;
use super::text::plain;

#[cfg(test)]
mod tests;

/// The running program, even when the file that it was started from has been replaced since.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// A benchmark.
struct Planned {
    bench: &'static str,
    /// Its options: for patient people, and for others.
    thorough: &'static [&'static str],
    quick: &'static [&'static str],
    backings: &'static [&'static str],
    on_disk: bool,
}

const BOTH: &[&str] = &["hostcow", "trap"];
const FAST: &[&str] = &["hostcow"];

/// What the page has if nothing else is given.
const PLAN: [Planned; 9] = [
    Planned {
        bench: "boot",
        thorough: &["--samples", "100"],
        quick: &["--samples", "5", "--memory", "16M"],
        backings: BOTH,
        on_disk: false,
    },
    Planned {
        bench: "clone",
        thorough: &["--samples", "200"],
        quick: &["--samples", "5", "--memory", "16M"],
        backings: BOTH,
        on_disk: false,
    },
    Planned {
        bench: "fork",
        thorough: &["--dirty", "16M,64M,256M"],
        quick: &["--samples", "3", "--dirty", "256K,1M"],
        backings: BOTH,
        on_disk: false,
    },
    Planned {
        bench: "fault",
        thorough: &["--samples", "50"],
        quick: &["--samples", "3", "--pages", "256", "--memory", "16M"],
        backings: BOTH,
        on_disk: false,
    },
    Planned {
        bench: "cow",
        thorough: &["--samples", "30"],
        quick: &["--samples", "3", "--pages", "80", "--memory", "16M"],
        backings: FAST,
        on_disk: false,
    },
    Planned {
        bench: "density",
        thorough: &["--clones", "200"],
        quick: &["--clones", "3", "--memory", "16M"],
        backings: BOTH,
        on_disk: false,
    },
    Planned {
        bench: "fork-io",
        thorough: &["--samples", "12", "--depth", "0,64"],
        quick: &["--samples", "2", "--depth", "0,8", "--memory", "16M"],
        backings: FAST,
        on_disk: true,
    },
    Planned {
        bench: "blk",
        thorough: &["--samples", "5"],
        quick: &["--samples", "2", "--depth", "8", "--block", "4K", "--size", "4M"],
        backings: FAST,
        on_disk: true,
    },
    Planned {
        bench: "pin",
        thorough: &["--samples", "100"],
        quick: &["--samples", "3"],
        backings: BOTH,
        on_disk: false,
    },
];

/// A run of a benchmark that is to be made.
struct Job {
    /// What its file is called, without the ending.
    name: String,
    words: Vec<String>,
}

impl Job {
    fn command(&self) -> String {
        let words: Vec<String> = self.words.iter().map(|word| quoted(word)).collect();
        format!("pincow {}", words.join(" "))
    }
}

fn jobs(args: &Args) -> Vec<Job> {
    let mut jobs = Vec::new();
    for planned in &PLAN {
        let effort = if args.quick { planned.quick } else { planned.thorough };
        for backing in planned.backings {
            let mut words = vec!["bench", planned.bench, "--json", "--backing", backing];
            words.extend(effort);
            let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            if planned.on_disk && args.dir.as_os_str() != "." {
                words.extend(["--dir".to_owned(), args.dir.display().to_string()]);
            }
            jobs.push(Job { name: format!("{}-{backing}", planned.bench), words });
        }
    }
    jobs
}

/// What the benchmarks measured, and in words those that could not be run.
pub(super) fn all(args: &Args) -> Result<(Vec<Run>, Vec<String>), Failure> {
    if let Some(folder) = &args.keep {
        fs::create_dir_all(folder).map_err(Failure::file(folder))?;
    }
    let jobs = jobs(args);
    let (mut runs, mut missing) = (Vec::new(), Vec::new());
    for (at, job) in jobs.iter().enumerate() {
        eprintln!("pincow: {} of {}: {}", at + 1, jobs.len(), job.command());
        let place = args.keep.as_ref().map(|folder| {
            let file = folder.join(format!("{}.json", job.name));
            Place::at(&file)
        });
        let place = place.transpose()?;
        match measured(job)? {
            Ok(printed) => {
                runs.extend(input::parse(&printed, &job.command())?);
                place.map_or(Ok(()), |place| place.put(&printed))?;
            }
            Err(reason) => missing.push(reason),
        }
    }
    if runs.is_empty() {
        let reason = missing.into_iter().next().unwrap_or_default();
        return Err(Failure::Other(format!("none of the benchmarks could be run: {reason}")));
    }
    Ok((runs, missing))
}

/// What a benchmark printed, or why it could not be run.
fn measured(job: &Job) -> Result<Result<String, String>, Failure> {
    let failure = |source| Failure::File { path: THIS_PROGRAM.to_owned(), source };
    let mut command = Command::new(THIS_PROGRAM);
    command.arg0("pincow").args(&job.words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failure)?;
    let (printed, talk) = (child.stdout.take(), child.stderr.take());
    let talking = std::thread::spawn(move || talk.map_or(String::new(), passed_on));
    let mut json = String::new();
    let read = printed.map_or(Ok(0), |mut printed| printed.read_to_string(&mut json));
    let status = child.wait().map_err(failure)?;
    let last_word = talking.join().unwrap_or_default();
    // Status 1: something was found, which is in what it printed.
    Ok(match (status.code(), read) {
        (Some(0 | 1), Ok(_)) => Ok(json),
        (_, Err(error)) => Err(format!("`{}`: what it printed: {error}", job.command())),
        _ => Err(format!("`{}`: {status}: {last_word}", job.command())),
    })
}

/// Says what a benchmark says. Returns its last line, which tells why if it failed.
fn passed_on(talk: impl Read) -> String {
    let mut last = String::new();
    for line in BufReader::new(talk).split(b'\n').map_while(Result::ok) {
        let line = plain(&String::from_utf8_lossy(&line));
        eprintln!("{line}");
        last = line;
    }
    last.strip_prefix("pincow: ").unwrap_or(&last).to_owned()
}
