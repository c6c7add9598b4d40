//! Running guests under the control of other processes: `pincow ps`, `fork`, `pause`, `resume`, `snapshot`, `spawn`,
//! `stats`, `balloon` and `stop`, on a `pincow run` whose guest keeps its disk busy and verifies it.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use control::bench::{Bench, number};
use pincow_mmu::scenario::Random;
use serde_json::Value;

mod control {
    pub(crate) mod bench;
    mod memory;
}

/// How often something random is tried.
const TRIES: u32 = 50;

/// Children that are killed.
const KILLS: u32 = 20;

fn transfers(stats: &Value) -> u64 {
    number(&stats["disks"][0], "transfers_in_flight")
}

fn ended(stats: &Value) -> u64 {
    number(&stats["disks"][0]["counts"], "answered")
}

#[test]
fn a_guest_is_forked_from_outside_while_its_disk_is_busy_and_every_side_verifies() {
    let Some(mut bench) = Bench::new() else { return };
    bench.storm();
    let log = bench.folder().join("child-{}.log").display().to_string();
    let made = bench.json(&["fork", &bench.name(1), "--count", "3", "--serial", &log]);
    let names: Vec<&str> = made.iter().map(|made| made["name"].as_str().unwrap()).collect();
    assert_eq!(names, [2, 3, 4].map(|id| bench.name(id)));
    assert!(made.iter().all(|made| number(made, "pause_us") > 0));
    let grandchild = &bench.json(&["fork", &bench.name(4)])[0];
    assert_eq!((number(grandchild, "id"), number(grandchild, "parent")), (5, 4));
    let busy = (0..TRIES).any(|_| {
        let made = bench.json(&["fork", &bench.name(1)]);
        bench.json(&["stop", "--kill", made[0]["name"].as_str().unwrap()]);
        number(&made[0], "transfers_in_flight") > 0
    });
    assert!(busy, "{TRIES} forks have met no transfer in flight");
    for id in 1..=5 {
        bench.say(&format!("guest {id}\ncalm"));
        let said = bench.wait_for(&format!("guest {id}: the storm is over"));
        assert!(said.ends_with("nothing is wrong"), "{said}");
        bench.say("puts");
        bench.wait_for(&format!("guest {id}: 0x"));
    }
    for child in 1..=3 {
        let log = fs::read_to_string(log.replace("{}", &child.to_string())).unwrap();
        assert!(!log.is_empty(), "child {child}");
    }
    bench.end(3);
}

#[test]
fn children_are_killed_at_random_moments_and_their_relatives_do_not_notice() {
    let Some(mut bench) = Bench::new() else { return };
    bench.storm();
    let (mut met, mut random) = (0, Random::new(9));
    for _ in 0..KILLS {
        let child = bench.json(&["fork", &bench.name(1)])[0]["name"].as_str().unwrap().to_owned();
        std::thread::sleep(Duration::from_micros(random.below(30_000)));
        let killed = &bench.json(&["stop", "--kill", &child])[0];
        assert_eq!(
            (&killed["how"], &killed["ended"]["reason"]),
            (&"killed".into(), &"killed".into())
        );
        met += u32::from(number(killed, "transfers_in_flight") > 0);
        let stats = &bench.json(&["stats", &child])[0];
        assert_eq!(
            (&stats["guest"]["state"], &stats["guest"]["reason"]),
            (&"ended".into(), &"killed".into())
        );
    }
    println!("{met} of {KILLS} kills met transfers in flight");
    assert!(met > 0);
    bench.say("calm");
    assert!(bench.wait_for("guest 1: the storm is over").ends_with("nothing is wrong"));
    bench.end(0);
}

#[test]
fn a_paused_guest_stands_still_with_its_disk_at_rest() {
    let Some(mut bench) = Bench::new() else { return };
    bench.storm();
    let root = bench.name(1);
    assert_eq!(bench.json(&["pause", &root])[0]["state"], "paused");
    let stats = |bench: &Bench| bench.json(&["stats", &root]).remove(0);
    bench.until(|bench| transfers(&stats(bench)) == 0);
    // What was in flight has ended, and the guest does not see it.
    let before = ended(&stats(&bench));
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(ended(&stats(&bench)), before);
    let child = &bench.json(&["fork", &root])[0];
    assert_eq!(child["paused"], true);
    let states = |bench: &Bench| {
        bench.guests().iter().map(|guest| guest["state"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(states(&bench), ["paused", "paused"]);
    bench.refused(&["stop", &root], &["paused", "--kill"]);
    bench.say("ping");
    bench.wait_for("guest 1: paused");
    for id in 1..=2 {
        assert_eq!(bench.json(&["resume", &bench.name(id)])[0]["state"], "running");
    }
    bench.until(|bench| ended(&stats(bench)) > before);
    for id in 1..=2 {
        bench.say(&format!("guest {id}\ncalm"));
        assert!(
            bench.wait_for(&format!("guest {id}: the storm is over")).ends_with("nothing is wrong")
        );
    }
    bench.end(0);
}

#[test]
fn the_process_lives_until_its_last_guest_has_ended_and_has_the_status_of_its_first() {
    let Some(mut bench) = Bench::new() else { return };
    bench.storm();
    let kept = bench.json(&["snapshot", &bench.name(1)])[0]["name"].as_str().unwrap().to_owned();
    let clones = bench.json(&["spawn", &kept, "--count", "2"]);
    assert_eq!(clones.iter().map(|clone| number(clone, "parent")).collect::<Vec<_>>(), [2, 2]);
    bench.say("exit 7");
    bench.wait_for(&format!("pincow: guest {} has ended, and others", bench.name(1)));
    let guests = bench.guests();
    assert_eq!((&guests[0]["state"], &guests[0]["code"]), (&"ended".into(), &7.into()));
    assert_eq!(guests[0]["frames"], Value::Null);
    let names: BTreeSet<&str> =
        guests.iter().map(|guest| guest["name"].as_str().unwrap()).collect();
    assert_eq!(names, BTreeSet::from([&*bench.name(1), &*bench.name(3), &*bench.name(4)]));
    let told = &bench.json(&["stop", &bench.name(3)])[0];
    assert_eq!((&told["how"], &told["ended"]["code"]), (&"told".into(), &0.into()));
    assert_eq!(bench.guests()[1]["state"], "ended", "it was waited for");
    assert_eq!(bench.json(&["stop", &bench.name(4), "--kill"])[0]["how"], "killed");
    assert_eq!(bench.wait(), Some(7));
    assert!(!bench.socket().exists());
    assert!(bench.processes().is_empty());
}

#[test]
fn a_guest_that_was_asked_may_be_the_last_and_one_without_sockets_has_no_agent() {
    let Some(mut bench) = Bench::new() else { return };
    let name = bench.name(1);
    bench.refused(&["copy", "/etc/passwd", &format!("{name}:/x")], &["no vsock device", "--vsock"]);
    bench.refused(&["fork", &name, "--hostname", "a b"], &["letters"]);
    bench.refused(&["fork", &name, "--hostname", "child-{}"], &["no vsock device"]);
    bench.json(&["pause", &name]);
    bench.refused(&["fork", &name, "--hostname", "child"], &["paused", "resume"]);
    bench.json(&["resume", &name]);
    let child = bench.json(&["fork", &name])[0]["name"].as_str().unwrap().to_owned();
    assert_eq!(child, bench.name(2), "nothing was made before");
    assert_eq!(bench.json(&["stop", &child])[0]["how"], "told");
    assert_eq!(bench.json(&["stop", &child])[0]["how"], "was-over");
    assert_eq!(bench.json(&["stop", &name])[0]["how"], "told");
    assert_eq!(bench.wait(), Some(0));
}

#[test]
fn ctrl_c_ends_all_guests_and_takes_the_socket_away() {
    let Some(mut bench) = Bench::new() else { return };
    bench.storm();
    bench.json(&["fork", &bench.name(1), "--count", "2"]);
    bench.signal("INT");
    assert_eq!(bench.wait(), Some(130));
    assert!(!bench.socket().exists());
}

#[test]
fn what_a_killed_process_leaves_behind_is_removed_and_its_disk_is_as_it_was() {
    let Some(mut bench) = Bench::new() else { return };
    bench.storm();
    bench.json(&["fork", &bench.name(1), "--count", "2"]);
    assert_eq!(bench.processes().len(), 1);
    bench.signal("KILL");
    assert_eq!(bench.wait(), None);
    assert!(bench.socket().exists());
    bench.refused(&["pause", &bench.name(1)], &["Connection refused", "pincow ps"]);
    let ran = bench.pincow(&["ps", "--json"]).run();
    assert_eq!(ran.json()["removed"][0], bench.socket().display().to_string());
    assert!(ran.stderr.contains("a dead process had left behind"), "{}", ran.stderr);
    assert!(!bench.socket().exists() && bench.processes().is_empty());
    assert!(fs::read(bench.disk()).unwrap().iter().all(|&byte| byte == 0), "it is temporary");
}

#[test]
fn guests_and_sockets_that_there_are_not() {
    let Some(mut bench) = Bench::new() else { return };
    bench.refused(&["pause", "7"], &["there is no guest 7"]);
    bench.refused(&["pause", "x"], &["`x` names no guest", "PID.N"]);
    bench.refused(&["pause", "1.1"], &["no process 1 has a control socket", "pincow ps"]);
    bench.refused(&["spawn", &bench.name(1)], &["1 is a guest, not a snapshot"]);
    bench.refused(&["fork", "1", "--net", "tap=no-such-tap"], &["no-such-tap", "ip tuntap add"]);
    bench.refused(&["fork", "1", "--net", "tap0"], &["write tap=NAME"]);
    bench.refused(&["fork", "1", "--serial", "/no/such/folder/file"], &["/no/such/folder/file"]);
    bench.refused(&["fork", "1", "--count", "2", "--serial", "log"], &["one serial line", "{}"]);
    bench.refused(&["ps", "--control", "/no/such/socket"], &["/no/such/socket"]);
    let socket = bench.socket().display().to_string();
    bench.refused(&["run", "--control", &socket], &[&socket, "a running pincow", "--control PATH"]);
    let disk = bench.disk().display().to_string();
    bench.refused(&["run", "--control", &disk], &[&disk, "no socket"]);
    assert_eq!(number(&bench.guests()[0], "id"), 1, "it is still there");
    let by_path = bench.pincow(&["stats", "1", "--control", &socket, "--json"]).run();
    assert_eq!(by_path.json()["guest"]["state"], "running");
    bench.end(0);
    bench.refused(&["pause", "1"], &["no pincow with a control socket", "runs"]);
}

#[test]
fn a_run_without_a_socket_is_not_listed() {
    let Some(mut bench) = Bench::with(&["--control", "none"]) else { return };
    assert!(!bench.socket().exists() && bench.processes().is_empty());
    bench.end(0);
}

/// The embedded guest has no driver for it, so that no more than what the host wants ever changes.
#[test]
fn a_balloon_is_told_its_size_and_a_child_has_one_of_its_own() {
    let Some(mut bench) = Bench::with(&["--balloon"]) else { return };
    let name = bench.name(1);
    let size = |guest: &str| {
        let stats = &bench.json(&["stats", guest])[0]["balloon"];
        (number(stats, "target_bytes"), number(stats, "actual_bytes"))
    };
    let ran = bench.pincow(&["balloon", &name, "16M", "--wait", "0", "--json"]).run();
    let told = ran.json();
    assert_eq!((&told["done"], &told["name"]), (&false.into(), &name.as_str().into()));
    assert_eq!(ran.status, Some(1));
    assert_eq!((number(&told, "target_bytes"), number(&told, "actual_bytes")), (16 << 20, 0));
    let child = bench.json(&["fork", &name])[0]["name"].as_str().unwrap().to_owned();
    let ran = bench.pincow(&["balloon", &child, "0"]).run();
    assert_eq!(ran.status, Some(0), "it is empty: {}", ran.stderr);
    assert!(ran.stdout.contains("holds 0 B, and is to hold 0 B"), "{}", ran.stdout);
    assert_eq!([&name, &child].map(|guest| size(guest)), [(16 << 20, 0), (0, 0)]);
    for wrong in ["1G", "64M", "4097"] {
        bench.refused(&["balloon", &name, wrong], &["a multiple of 4 KiB", "0x4000000"]);
    }
    bench.refused(&["balloon", &name, "much"], &["`much` is not a size"]);
    bench.refused(&["balloon", "7", "16M"], &["there is no guest 7"]);
    bench.json(&["stop", "--kill", &child]);
    bench.refused(&["balloon", &child, "16M"], &["2 has ended"]);
    assert_eq!(size(&name), (16 << 20, 0), "nothing of this has changed it");
    bench.end(0);
    let Some(mut without) = Bench::new() else { return };
    without.refused(&["balloon", "1", "16M"], &["no balloon", "--balloon"]);
    without.end(0);
}

/// Connections that say nothing while others work.
#[test]
fn silent_connections_keep_nobody_from_control() {
    let Some(mut bench) = Bench::new() else { return };
    let socket = bench.socket();
    let silent: Vec<_> = (0..100).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    assert_eq!(bench.guests().len(), 1);
    bench.json(&["fork", "1"]);
    drop(silent);
    bench.end(0);
}
