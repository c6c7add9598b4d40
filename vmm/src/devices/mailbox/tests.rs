use std::sync::Arc;
use std::thread;

use pincow_guest_protocol::command::PONG;
use pincow_guest_protocol::{Command as Protocol, Status};

use super::*;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(20);

fn read(mailbox: &Mailbox, register: Register) -> (u64, Flow) {
    let mut data = [0xff; 8];
    let flow = mailbox.read(register.offset(), &mut data);
    (u64::from_le_bytes(data), flow)
}

fn write(mailbox: &Mailbox, register: Register, value: u64) -> Flow {
    mailbox.write(register.offset(), &value.to_le_bytes())
}

#[test]
fn a_command_goes_in_and_its_reply_comes_out() {
    let mailbox = Arc::new(Mailbox::new());
    let guest = thread::spawn({
        let mailbox = mailbox.clone();
        move || {
            let (code, flow) = read(&mailbox, Register::Command);
            assert_eq!((code, flow), (Protocol::Read { address: 0 }.code(), Flow::Continue));
            assert_eq!(read(&mailbox, Register::Arg(0)), (0x1238, Flow::Continue));
            write(&mailbox, Register::Reply(2), 7);
            write(&mailbox, Register::Done, Status::BadArgument as u64);
        }
    });
    let reply = mailbox.call(Protocol::Read { address: 0x1238 }, LONG).unwrap();
    assert_eq!(reply.status(), Some(Status::BadArgument));
    assert_eq!(reply.values, [0, 0, 7, 0]);
    assert_eq!(mailbox.wait_reply(LONG), Err(MailboxError::Idle));
    guest.join().unwrap();
}

#[test]
fn an_interrupted_vcpu_reads_no_command_and_later_gets_it() {
    let mailbox = Arc::new(Mailbox::new());
    let guest = thread::spawn({
        let mailbox = mailbox.clone();
        move || read(&mailbox, Register::Command)
    });
    thread::sleep(SHORT);
    assert!(!guest.is_finished(), "the read does not block");
    mailbox.interrupt();
    assert_eq!(guest.join().unwrap(), (NO_COMMAND, Flow::Interrupted));
    assert_eq!(read(&mailbox, Register::Command), (NO_COMMAND, Flow::Interrupted));
    mailbox.post(Protocol::Ping).unwrap();
    mailbox.resume();
    assert_eq!(read(&mailbox, Register::Command), (Protocol::Ping.code(), Flow::Continue));
}

#[test]
fn one_command_at_a_time() {
    let mailbox = Mailbox::new();
    mailbox.post(Protocol::Ping).unwrap();
    let busy = Err(MailboxError::Busy { code: Protocol::Ping.code() });
    assert_eq!(mailbox.post(Protocol::Puts), busy);
    read(&mailbox, Register::Command);
    assert_eq!(mailbox.post(Protocol::Puts), busy);
    assert_eq!(mailbox.wait_reply(SHORT), Err(MailboxError::Timeout(SHORT)));
    write(&mailbox, Register::DoneValue, PONG);
    mailbox.post(Protocol::Puts).unwrap();
    let zero = Command { code: 0, args: [0; 4] };
    assert_eq!(mailbox.post(zero), Err(MailboxError::NoCode));
}

#[test]
fn a_copy_has_the_same_command_in_progress_and_its_own_reply() {
    let parent = Mailbox::new();
    parent.post(Protocol::Count { limit: 3 }).unwrap();
    let not_read_yet = Mailbox::restore(&parent.save());
    assert_eq!(read(&not_read_yet, Register::Command).0, Protocol::Count { limit: 3 }.code());
    read(&parent, Register::Command);
    write(&parent, Register::Reply(1), 5);
    let child = Mailbox::restore(&parent.save());
    write(&parent, Register::DoneValue, 1);
    assert_eq!(child.wait_reply(SHORT), Err(MailboxError::Timeout(SHORT)));
    write(&child, Register::DoneValue, 2);
    assert_eq!(child.wait_reply(LONG).unwrap().values, [2, 5, 0, 0]);
    assert_eq!(parent.wait_reply(LONG).unwrap().values, [1, 5, 0, 0]);
}

#[test]
fn a_guest_that_floods_costs_nothing() {
    let mailbox = Mailbox::new();
    for value in 0..1000 {
        write(&mailbox, Register::Done, value);
        write(&mailbox, Register::DoneValue, value);
        write(&mailbox, Register::Report, value);
        write(&mailbox, Register::Command, value);
        write(&mailbox, Register::Arg(3), value);
    }
    let counts = mailbox.counts();
    assert_eq!(counts.stray_replies, 2000);
    assert_eq!(counts.lost_reports, 1000 - REPORTS_KEPT as u64);
    assert_eq!(counts.malformed, 2000);
    assert_eq!(mailbox.wait_report(LONG), Ok(1000 - REPORTS_KEPT as u64));
    assert_eq!(mailbox.inner.lock().reports.len(), REPORTS_KEPT - 1);
}

#[test]
fn a_rest_is_as_long_as_it_is_asked_for_and_never_very_long() {
    let mailbox = Mailbox::new();
    let timed = |microseconds| {
        let begun = Instant::now();
        assert_eq!(write(&mailbox, Register::Rest, microseconds), Flow::Continue);
        begun.elapsed()
    };
    assert!(timed(2000) >= Duration::from_millis(2));
    let longest = timed(u64::MAX);
    assert!(longest >= Duration::from_micros(REST_MOST_US) && longest < LONG, "{longest:?}");
    mailbox.interrupt();
    let mut shortest = Duration::MAX;
    (0..20).for_each(|_| shortest = shortest.min(timed(REST_MOST_US)));
    assert!(shortest < Duration::from_micros(REST_MOST_US), "{shortest:?}");
}

#[test]
fn wrong_sizes_and_offsets_are_counted_and_read_as_ones() {
    let mailbox = Mailbox::new();
    for offset in [0, 1, 4, 8, 0x28, 0x48, 0x58, 0x70, 0xf8, u64::MAX] {
        for len in [0, 1, 2, 4, 7, 9, 64] {
            let mut data = vec![0xff; len];
            assert_eq!(mailbox.read(offset, &mut data), Flow::Continue);
            assert!(data.iter().all(|&byte| byte == 0xff));
            assert_eq!(mailbox.write(offset, &data), Flow::Continue);
        }
    }
    assert_eq!(mailbox.counts().malformed, 10 * 7 * 2);
    assert_eq!(mailbox.save(), MailboxState::default());
}

#[test]
fn nobody_waits_for_a_guest_that_has_stopped() {
    let mailbox = Arc::new(Mailbox::new());
    mailbox.post(Protocol::Ping).unwrap();
    let host = thread::spawn({
        let mailbox = mailbox.clone();
        move || (mailbox.wait_reply(LONG), mailbox.wait_report(LONG))
    });
    thread::sleep(SHORT);
    mailbox.close();
    let stopped = MailboxError::Stopped;
    assert_eq!(host.join().unwrap(), (Err(stopped), Err(stopped)));
    read(&mailbox, Register::Command);
    assert_eq!(read(&mailbox, Register::Command), (NO_COMMAND, Flow::Interrupted));
    assert_eq!(write(&mailbox, Register::Exit, 3), Flow::Exit(3));
}

#[test]
fn saved_state_without_a_code_is_made_harmless() {
    let progress = Progress::Posted(Command { code: 0, args: [1; 4] });
    let mailbox = Mailbox::restore(&MailboxState { progress, ..Default::default() });
    assert_eq!(mailbox.save().progress, Progress::Idle);
}
