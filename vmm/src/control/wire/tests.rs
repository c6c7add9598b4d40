//! Lines, whole and broken; answers.

use std::io::{BufReader, Read};

use proptest::prelude::*;

use super::*;
use crate::control::{DiskStats, GuestInfo, GuestState, GuestStats, How, Made, Process, Stopping};
use crate::machine::Stopped;

/// Gives bytes in pieces, as a socket does.
struct Pieces<'a> {
    bytes: &'a [u8],
    sizes: Vec<usize>,
}

impl Read for Pieces<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes.pop().unwrap_or(1);
        let len = size.min(to.len()).min(self.bytes.len());
        to[..len].copy_from_slice(&self.bytes[..len]);
        self.bytes = &self.bytes[len..];
        Ok(len)
    }
}

fn lines(bytes: &[u8], sizes: Vec<usize>, most: usize) -> Vec<Line> {
    let mut reader = BufReader::with_capacity(16, Pieces { bytes, sizes });
    let mut lines = Vec::new();
    loop {
        let line = read_line(&mut reader, most).unwrap();
        lines.push(line.clone());
        if !matches!(line, Line::Whole(_)) {
            return lines;
        }
    }
}

fn whole(text: &str) -> Line {
    Line::Whole(text.as_bytes().to_vec())
}

#[test]
fn lines_end_with_their_newline_or_are_none() {
    assert_eq!(lines(b"", vec![], 4), [Line::End]);
    assert_eq!(lines(b"ab\n\ncd\nef", vec![], 4), [whole("ab"), whole(""), whole("cd"), Line::End]);
}

#[test]
fn a_line_has_a_most() {
    assert_eq!(lines(b"abcd\n", vec![], 4), [whole("abcd"), Line::End]);
    assert_eq!(lines(b"abcde\n", vec![], 4), [Line::TooLong]);
    assert_eq!(lines(b"ab\nabcdefghijklmnopqrstuvwxyz", vec![], 4), [whole("ab"), Line::TooLong]);
}

proptest! {
    /// However the bytes come in.
    #[test]
    fn pieces_make_the_same_lines(
        bytes in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200),
        sizes in prop::collection::vec(1_usize..40, 0..20),
        most in 0_usize..60,
    ) {
        let mut expected = Vec::new();
        let mut rest = &*bytes;
        loop {
            let end = rest.iter().position(|&byte| byte == b'\n');
            if end.unwrap_or(rest.len()) > most {
                expected.push(Line::TooLong);
                break;
            }
            let Some(end) = end else {
                expected.push(Line::End);
                break;
            };
            expected.push(Line::Whole(rest[..end].to_vec()));
            rest = &rest[end + 1..];
        }
        prop_assert_eq!(lines(&bytes, sizes, most), expected);
    }
}

fn guest(state: GuestState) -> GuestInfo {
    GuestInfo {
        id: 2,
        parent: Some(1),
        state,
        vcpus: 1,
        memory_bytes: 1 << 24,
        generation_id: "0123456789abcdef0011223344556677".parse().ok(),
        started_unix_ms: 7,
        age_ms: 8,
        frames: None,
        memory: Some(Default::default()),
    }
}

#[test]
fn answers_survive_the_way_back() {
    let crashed = Stopped::Shutdown { vcpu: 0, rip: Some(u64::MAX), fault_address: None };
    let guests = [GuestState::Running, GuestState::Paused, GuestState::Ended(crashed.clone())];
    let stats = GuestStats {
        guest: guest(GuestState::Ended(Stopped::Exit { vcpu: 3, code: u64::MAX })),
        disks: vec![DiskStats { transfers_in_flight: 9, ..DiskStats::default() }],
        nets: vec![Default::default()],
        rng: Some(Default::default()),
        balloon: Some(Default::default()),
        family: Default::default(),
    };
    let ended = Some(Stopped::Killed);
    let made = Made {
        id: 2,
        parent: 1,
        paused: true,
        pause_us: 800,
        transfers_in_flight: 3,
        requests_in_flight: 4,
    };
    let process = Process {
        pid: 4711,
        resident_bytes: 5,
        memory: Some(Default::default()),
        guests: guests.iter().cloned().map(guest).collect(),
        snapshots: Vec::new(),
    };
    let fine = [
        Response::Process(process),
        Response::State { id: 1, state: guests[2].clone() },
        Response::Made(made),
        Response::Stopping(Stopping { id: 1, how: How::Killed, transfers_in_flight: 2, ended }),
        Response::Stats(Box::new(stats)),
    ];
    let wrong = [
        ControlError::NotUnderstood { problem: "x".to_owned() },
        ControlError::TooLong {},
        ControlError::TooMany { connections: 64 },
        ControlError::NoGuest { id: 7 },
        ControlError::NoSnapshot { id: 7 },
        ControlError::IsASnapshot { id: 7 },
        ControlError::IsAGuest { id: 7 },
        ControlError::Ended { id: 7, reason: crashed },
        ControlError::CannotAsk { id: 7, problem: "x".to_owned() },
        ControlError::Refused { id: 7, problem: "x".to_owned() },
        ControlError::Closing {},
    ];
    for result in fine.into_iter().map(Ok).chain(wrong.into_iter().map(Err)) {
        let sent = Answer::from(result);
        let mut line = Vec::new();
        write_line(&mut line, &sent).unwrap();
        assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
        let received: Answer = serde_json::from_slice(&line).unwrap();
        assert_eq!(received, sent);
    }
}

#[test]
fn an_error_is_there_in_words_too() {
    let answer = Answer::from(Err(ControlError::NoGuest { id: 7 }));
    assert_eq!(
        serde_json::to_string(&answer).unwrap(),
        r#"{"error":{"kind":"no-guest","id":7,"message":"there is no guest 7"}}"#
    );
}
