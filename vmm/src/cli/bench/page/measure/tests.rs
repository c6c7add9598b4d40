use clap::Parser;

use super::super::super::Command;
use super::{Job, jobs, passed_on};

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

fn planned(words: &[&str]) -> Vec<Job> {
    let words = ["pincow", "report"].iter().chain(words);
    match Line::try_parse_from(words).unwrap().command {
        Command::Report(args) => jobs(&args),
        Command::Measure(_) => panic!("not a report"),
    }
}

#[test]
fn every_job_is_a_command_that_there_is() {
    for words in [&[][..], &["--quick"], &["--dir", "some where"]] {
        let jobs = planned(words);
        for job in &jobs {
            let line = Line::try_parse_from(&job.words);
            assert!(
                matches!(line.map(|line| line.command), Ok(Command::Measure(_))),
                "{}",
                job.command()
            );
        }
        let mut names: Vec<_> = jobs.iter().map(|job| &job.name).collect();
        names.dedup();
        assert_eq!(names.len(), jobs.len(), "each has a file of its own");
    }
}

#[test]
fn boots_clones_forks_faults_and_pins_are_on_both_backings() {
    let names: Vec<String> = planned(&[]).into_iter().map(|job| job.name).collect();
    for bench in ["boot", "clone", "fork", "fault", "pin"] {
        for backing in ["hostcow", "trap"] {
            assert!(names.contains(&format!("{bench}-{backing}")), "{names:?}");
        }
    }
}

#[test]
fn only_benchmarks_of_disks_get_a_folder() {
    for job in planned(&["--dir", "some where"]) {
        let on_disk = job.name.starts_with("blk") || job.name.starts_with("fork-io");
        assert_eq!(job.command().ends_with("--dir 'some where'"), on_disk, "{}", job.command());
    }
}

#[test]
fn options_of_measuring_are_not_for_files() {
    for option in [&["--quick"][..], &["--keep", "x"], &["--dir", "x"]] {
        let words = [&["pincow", "report", "f.json"], option].concat();
        assert!(Line::try_parse_from(words).is_err(), "{option:?}");
    }
}

#[test]
fn the_last_thing_said_is_kept() {
    assert_eq!(passed_on(&b"pincow: 1 of 2\npincow: no \x1b room\n"[..]), "no \u{fffd} room");
    assert_eq!(passed_on(&b""[..]), "");
}
