//! What is on a desk, and who holds its memory.

use super::*;
use crate::io::Kind;
use crate::io::test_memory::{Area, readable, transfer};

const LONG: Duration = Duration::from_secs(20);

fn submit(engine: &mut impl Engine, area: &Area, id: u64) {
    let file = Arc::new(File::open("/dev/null").unwrap());
    engine.submit(transfer(id, &file, 4096, Kind::Read, area.buffers(&[(0, 512)]))).unwrap();
}

#[test]
fn a_transfer_stays_until_it_is_ended_and_is_read_by_its_own_device() {
    let (desk, area) = (Desk::default(), Area::new(4096));
    let (mut first, mut second) = (desk.engine().unwrap(), desk.engine().unwrap());
    assert!(!desk.wait(0, Duration::ZERO));
    submit(&mut first, &area, 70);
    submit(&mut second, &area, 80);
    assert!(desk.wait(1, LONG));
    assert_eq!((desk.arrived(), first.in_flight(), second.in_flight()), (2, 1, 1));
    assert_eq!(desk.part(0).unwrap().offset, 4096);
    assert_eq!(desk.part(1).unwrap().buffers.len_bytes(), 512);
    assert_eq!(area.holders(), 2);

    desk.end(1, true);
    desk.end(0, false);
    assert!(readable(&second, 0));
    assert_eq!((first.in_flight(), first.pending()), (0, 1));
    let mut completions = Vec::new();
    second.completed(&mut completions);
    assert_eq!((completions[0].id, completions[0].result.as_ref().unwrap()), (80, &512));
    first.completed(&mut completions);
    let cancelled = completions[1].result.as_ref().unwrap_err();
    assert_eq!((completions[1].id, cancelled.raw_os_error()), (70, Some(libc::ECANCELED)));
    assert_eq!((area.holders(), completions.len()), (2, 2), "until the completions are dropped");
    drop(completions);
    assert_eq!(area.holders(), 0);
    assert!(!readable(&second, 0) && desk.part(0).is_none());
}

#[test]
fn a_wait_ends_when_the_transfer_comes() {
    let (desk, area) = (Desk::default(), Area::new(4096));
    let mut engine = desk.engine().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| desk.wait(0, LONG));
        submit(&mut engine, &area, 1);
        assert!(waiting.join().unwrap());
    });
}

#[test]
fn what_a_dead_device_submitted_keeps_its_memory_until_it_is_ended() {
    let (desk, area) = (Desk::default(), Area::new(4096));
    let mut engine = desk.engine().unwrap();
    submit(&mut engine, &area, 1);
    submit(&mut engine, &area, 2);
    desk.end(1, true);
    drop(engine);
    assert_eq!(area.holders(), 1, "the completion that nobody will read is gone");
    assert!(desk.part(0).is_some());
    desk.end(0, true);
    assert_eq!(area.holders(), 0);
}
