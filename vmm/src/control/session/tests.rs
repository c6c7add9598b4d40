//! Sessions of guests on the real KVM.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use pincow_guest_protocol::Command;
use pincow_guest_protocol::command::PONG;
use pincow_mmu::rules::{RuleSet, Rules};

use super::*;
use crate::control::{How, Made, Own};
use crate::drive;
use crate::guest::{GuestConfig, VsockConfig};
use crate::kvm::tests::host;
use crate::machine::Stopped;
use crate::payload::PAYLOAD;

const MEMORY: u64 = 16 << 20;

/// A session whose first guest is ready.
pub(in crate::control) fn session() -> Option<Session> {
    session_of(GuestConfig::default(), Asking::EmbeddedGuest)
}

/// One whose guest has other devices, or is asked to end in another way.
pub(in crate::control) fn session_of(config: GuestConfig, asking: Asking) -> Option<Session> {
    let rules = Rules::from(RuleSet::default());
    let guest = Guest::boot(&host()?, MEMORY, rules, config, PAYLOAD).unwrap();
    let session = Session::new(guest, asking);
    assert_eq!(session.state(FIRST), Ok(GuestState::Paused), "it was not started");
    session.start().unwrap();
    drive::wait_ready(&session.guest(FIRST).unwrap()).unwrap();
    Some(session)
}

fn made(session: &Session, request: Request) -> Made {
    match session.execute(request).unwrap() {
        Response::Made(made) => made,
        other => panic!("{other:?}"),
    }
}

fn fork(session: &Session, id: u32) -> Made {
    made(session, Request::Fork { id, own: Own::default() })
}

fn kill(session: &Session, id: u32) -> How {
    match session.execute(Request::Stop { id, kill: true }).unwrap() {
        Response::Stopping(stopping) => stopping.how,
        other => panic!("{other:?}"),
    }
}

fn answers(session: &Session, id: u32) -> bool {
    drive::call(&session.guest(id).unwrap(), 0, Command::Ping).unwrap()[0] == PONG
}

/// Whether a guest that was asked something does not answer for a while.
fn is_silent(session: &Session, id: u32) -> bool {
    let guest = session.guest(id).unwrap();
    let mailbox = guest.machine().mailbox(0).unwrap();
    mailbox.post(Command::Ping).unwrap();
    mailbox.wait_reply(Duration::from_millis(100)).is_err()
}

#[test]
fn a_family_has_numbers_parents_and_states() {
    let Some(session) = session() else { return };
    assert_eq!(fork(&session, FIRST).id, 2);
    let child = fork(&session, 2);
    assert_eq!((child.id, child.parent, child.paused), (3, 2, false));
    assert!(child.pause_us > 0);
    let listed = session.list();
    let of: Vec<_> = listed.guests.iter().map(|guest| (guest.id, guest.parent)).collect();
    assert_eq!(of, [(1, None), (2, Some(1)), (3, Some(2))]);
    assert!(listed.guests.iter().all(|guest| guest.state == GuestState::Running));
    assert!((1..=3).all(|id| answers(&session, id)));
}

#[test]
fn a_paused_guest_stands_still_and_so_does_its_child() {
    let Some(session) = session() else { return };
    let pause = Request::Pause { id: FIRST };
    let still = Response::State { id: FIRST, state: GuestState::Paused };
    assert_eq!(session.execute(pause.clone()), Ok(still.clone()));
    assert_eq!(session.execute(pause), Ok(still), "once more changes nothing");
    let child = fork(&session, FIRST);
    assert!(child.paused);
    assert_eq!(session.state(child.id), Ok(GuestState::Paused));
    for id in [FIRST, child.id] {
        assert!(is_silent(&session, id), "guest {id}");
        for _ in 0..2 {
            session.execute(Request::Resume { id }).unwrap();
        }
        assert_eq!(session.state(id), Ok(GuestState::Running));
        let guest = session.guest(id).unwrap();
        let reply = guest.machine().mailbox(0).unwrap().wait_reply(Duration::from_secs(60));
        assert_eq!(reply.unwrap().values[0], PONG, "it was asked while it stood still");
    }
    assert!(!fork(&session, child.id).paused);
}

#[test]
fn a_paused_guest_can_be_killed_and_cannot_be_asked() {
    let Some(session) = session() else { return };
    session.execute(Request::Pause { id: FIRST }).unwrap();
    let asked = session.execute(Request::Stop { id: FIRST, kill: false });
    assert!(matches!(asked, Err(ControlError::CannotAsk { .. })), "{asked:?}");
    assert_eq!(kill(&session, FIRST), How::Killed);
    assert_eq!(kill(&session, FIRST), How::WasOver);
    assert!(session.close_if_over());
}

#[test]
fn a_guest_without_an_agent_cannot_be_asked_and_stays_as_it_is() {
    for (asking, word) in [(Asking::Agent, "no vsock device"), (Asking::NoWay, "no such command")] {
        let Some(session) = session_of(GuestConfig::default(), asking) else { return };
        let asked = session.execute(Request::Stop { id: FIRST, kill: false }).unwrap_err();
        let text = asked.to_string();
        assert!(matches!(asked, ControlError::CannotAsk { id: FIRST, .. }), "{text}");
        assert!(text.contains(word) && text.contains("--kill"), "{text}");
        assert!(answers(&session, FIRST));
        assert_eq!(kill(&session, FIRST), How::Killed);
    }
}

/// An agent may be silent for as long as it likes.
#[test]
fn a_guest_can_be_killed_while_its_agent_is_asked() {
    let vsock = Some(VsockConfig { cid: 3.try_into().unwrap(), socket: None });
    let config = GuestConfig { vsock, ..GuestConfig::default() };
    let Some(session) = session_of(config, Asking::Agent) else { return };
    let stop = Request::Stop { id: FIRST, kill: false };
    thread::scope(|scope| {
        let asking = scope.spawn(|| session.execute(stop));
        while !asking.is_finished() && session.state(FIRST) == Ok(GuestState::Running) {
            thread::sleep(Duration::from_millis(20));
            kill(&session, FIRST);
        }
        let asked = asking.join().unwrap();
        assert!(
            matches!(&asked, Ok(Response::Stopping(stopping)) if stopping.how == How::WasOver),
            "{asked:?}"
        );
    });
}

#[test]
fn snapshots_outlive_their_guests_and_make_guests_that_run() {
    let Some(session) = session() else { return };
    fork(&session, FIRST);
    session.execute(Request::Pause { id: 2 }).unwrap();
    let kept = made(&session, Request::Snapshot { id: 2 });
    kill(&session, 2);
    let clone = made(&session, Request::Spawn { id: kept.id, own: Own::default() });
    assert_eq!((clone.parent, clone.paused), (kept.id, false));
    assert!(answers(&session, clone.id));
    assert_eq!(session.list().snapshots[0].clones, 1);
    let wrong = |request| session.execute(request).unwrap_err();
    assert_eq!(wrong(Request::Pause { id: 3 }), ControlError::IsASnapshot { id: 3 });
    assert_eq!(
        wrong(Request::Spawn { id: 1, own: Own::default() }),
        ControlError::IsAGuest { id: 1 }
    );
    assert_eq!(
        wrong(Request::Spawn { id: 9, own: Own::default() }),
        ControlError::NoSnapshot { id: 9 }
    );
    assert_eq!(wrong(Request::Stats { id: 9 }), ControlError::NoGuest { id: 9 });
    let ended = wrong(Request::Fork { id: 2, own: Own::default() });
    assert_eq!(ended, ControlError::Ended { id: 2, reason: Stopped::Killed });
    assert_eq!(kill(&session, kept.id), How::Forgotten);
    assert!(session.list().snapshots.is_empty());
    assert!(answers(&session, clone.id));
}

#[test]
fn what_a_child_has_of_its_own_is_opened_or_refused() {
    let Some(session) = session() else { return };
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("serial");
    let own = Own { serial: Some(file.clone()), ..Own::default() };
    let child = made(&session, Request::Fork { id: FIRST, own });
    drive::call(&session.guest(child.id).unwrap(), 0, Command::Puts).unwrap();
    assert!(!std::fs::read(&file).unwrap().is_empty());
    for (serial, word) in
        [("relative", "absolute"), ("/no/such/folder/file", "No such file"), ("/", "directory")]
    {
        let own = Own { serial: Some(serial.into()), ..Own::default() };
        let refused = session.execute(Request::Fork { id: FIRST, own }).unwrap_err().to_string();
        assert!(refused.contains(word), "{refused}");
    }
    let nets = vec![crate::control::Card { tap: "no-such-tap".to_owned(), mac: None }];
    let refused = session.execute(Request::Fork { id: FIRST, own: Own { nets, ..Own::default() } });
    assert!(refused.unwrap_err().to_string().contains("no-such-tap"));
    assert_eq!(session.list().guests.len(), 2);
    assert!(answers(&session, FIRST));
}

#[test]
fn guests_that_end_by_themselves_are_let_go_with_their_reason() {
    let Some(session) = session() else { return };
    let child = fork(&session, FIRST).id;
    let before = session.list().guests[1].frames.unwrap();
    assert!(before.shared > 0);
    drive::post(&session.guest(child).unwrap(), 0, Command::Exit { code: 7 }).unwrap();
    let reason = Stopped::Exit { vcpu: 0, code: 7 };
    let deadline = Instant::now() + Duration::from_secs(60);
    while session.guest(child).is_some() {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(1));
        session.reap();
    }
    assert_eq!(session.state(child), Ok(GuestState::Ended(reason.clone())));
    let Response::Stats(stats) = session.execute(Request::Stats { id: child }).unwrap() else {
        panic!("no stats");
    };
    assert_eq!((stats.guest.state, stats.guest.frames), (GuestState::Ended(reason), None));
    assert!(!session.close_if_over(), "the first one lives");
    assert!(answers(&session, FIRST));
}

#[test]
fn a_session_is_over_with_its_last_guest() {
    let Some(session) = session() else { return };
    let child = fork(&session, FIRST).id;
    let kept = made(&session, Request::Snapshot { id: child }).id;
    assert_eq!(kill(&session, FIRST), How::Killed);
    assert!(!session.close_if_over() && answers(&session, child));
    session.execute(Request::Stop { id: child, kill: false }).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !session.close_if_over() {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(session.state(child), Ok(GuestState::Ended(Stopped::Exit { vcpu: 0, code: 0 })));
    let refused = session.execute(Request::Spawn { id: kept, own: Own::default() });
    assert_eq!(refused, Err(ControlError::Closing {}));
}

#[test]
fn a_guest_at_work_ends_what_it_does_when_it_is_asked() {
    let Some(session) = session() else { return };
    let guest = session.guest(FIRST).unwrap();
    drive::post(&guest, 0, Command::Count { limit: 0 }).unwrap();
    let asked = session.execute(Request::Stop { id: FIRST, kill: false }).unwrap();
    assert!(matches!(asked, Response::Stopping(stopping) if stopping.how == How::Told));
    assert_eq!(guest.machine().wait(), Stopped::Exit { vcpu: 0, code: 0 });
}

#[test]
fn the_list_of_those_that_ended_has_a_most() {
    let Some(session) = session() else { return };
    let more = 5;
    for _ in 0..ENDED_KEPT + more {
        kill(&session, fork(&session, FIRST).id);
    }
    let listed: Vec<u32> = session.list().guests.iter().map(|guest| guest.id).collect();
    let oldest = FIRST + 1 + more as u32;
    assert_eq!(listed, [vec![FIRST], (oldest..oldest + ENDED_KEPT as u32).collect()].concat());
}

#[test]
fn an_operation_waits_for_the_one_before_and_lists_do_not() {
    let Some(session) = session() else { return };
    let member = session.member(FIRST).unwrap();
    let operation = member.operate().unwrap();
    thread::scope(|scope| {
        let killing = scope.spawn(|| kill(&session, FIRST));
        thread::sleep(Duration::from_millis(100));
        assert!(!killing.is_finished());
        let Ok(Response::Process(process)) = session.execute(Request::Ps {}) else { panic!() };
        assert_eq!(process.guests[0].state, GuestState::Running);
        assert!(session.execute(Request::Stats { id: FIRST }).is_ok());
        drop(operation);
        assert_eq!(killing.join().unwrap(), How::Killed);
    });
}

/// Operations on one guest follow each other, whoever wants them; the guest stands still or runs afterwards, as
/// the last of them wanted.
#[test]
fn requests_of_many_threads_about_one_guest() {
    let Some(session) = session() else { return };
    let session = Arc::new(session);
    let thread = |number: u32| {
        let session = Arc::clone(&session);
        thread::spawn(move || {
            for turn in 0..12 {
                match (number + turn) % 4 {
                    0 => drop(session.execute(Request::Pause { id: FIRST }).unwrap()),
                    1 => drop(session.execute(Request::Resume { id: FIRST }).unwrap()),
                    2 => assert!(matches!(kill(&session, fork(&session, FIRST).id), How::Killed)),
                    _ => drop(session.execute(Request::Ps {}).unwrap()),
                }
            }
        })
    };
    let threads: Vec<_> = (0..4).map(thread).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    session.execute(Request::Resume { id: FIRST }).unwrap();
    assert!(answers(&session, FIRST));
    assert_eq!(session.list().guests.len(), 1 + 12);
}
