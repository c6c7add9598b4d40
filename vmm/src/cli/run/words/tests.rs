//! Lines that are understood, and lines that are not.

use super::*;

#[test]
fn lines_become_wishes() {
    assert_eq!(read("  "), Ok(Wish::Nothing));
    assert_eq!(read("ping"), Ok(Wish::Ask(Command::Ping)));
    let fill = Command::Fill { first: 0x400, pages: 16, seed: 7 };
    assert_eq!(read("fill 0x400 16 7"), Ok(Wish::Ask(fill)));
    let saved = Command::DiskBegin { device: 0x101, sector: 8, sectors: 2, address: 0x40_0000 };
    assert_eq!(read("begin-save 1 8 2 0x400000"), Ok(Wish::Ask(saved)));
    let storm = Wish::Storm { sectors: 4096, depth: 64, seed: 7 };
    assert_eq!((read("storm 4096 64 7"), read("calm")), (Ok(storm), Ok(Wish::Calm)));
    assert_eq!(read("exit 3"), Ok(Wish::End(3)));
}

#[test]
fn other_lines_are_refused_with_a_reason() {
    for line in
        ["load 0 1 2", "flush", "pong", "fill 1 2", "fill 1 2 x", "guest", "ping 1", "exit -1"]
    {
        assert!(read(line).is_err(), "{line}");
    }
}

#[test]
fn help_names_every_word_that_is_understood() {
    for line in HELP.lines().filter(|line| line.starts_with("  ")) {
        let (what, _) = line.trim().split_once("  ").unwrap();
        let words: Vec<&str> = what.split_whitespace().collect();
        let numbers = words[1..].iter().filter(|word| word.chars().all(char::is_uppercase));
        let example = format!("{} {}", words[0], numbers.map(|_| "1 ").collect::<String>());
        assert!(read(example.trim()).is_ok() || words[0] == "fault,", "{example}");
    }
}
