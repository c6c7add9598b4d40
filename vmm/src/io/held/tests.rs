use std::fs::File;
use std::sync::Arc;

use super::super::Uring;
use super::super::test_memory::{Area, direct_file, pattern, readable, transfer, wait};
use super::*;

struct Bench {
    _temporary: tempfile::NamedTempFile,
    file: Arc<File>,
    area: Area,
    engine: Held<Uring>,
    control: HeldControl,
}

fn bench() -> Bench {
    let (_temporary, file) = direct_file(&pattern(64 << 10, 1));
    let engine = Held::new(Uring::new(8).unwrap()).unwrap();
    let control = engine.control();
    Bench { _temporary, file, area: Area::new(64 << 10), engine, control }
}

impl Bench {
    fn read(&mut self, id: u64, len_bytes: usize) {
        let place = id as usize * 8192;
        let buffers = self.area.buffers(&[(place, len_bytes)]);
        let one = transfer(id, &self.file, place as u64, Kind::Read, buffers);
        self.engine.submit(one).unwrap();
        self.engine.flush().unwrap();
    }

    /// Which `count` are done next. Those that begin together end in any order.
    fn ids(&mut self, count: usize) -> Vec<u64> {
        let mut ids: Vec<_> = wait(&mut self.engine, count).iter().map(|done| done.id).collect();
        ids.sort_unstable();
        ids
    }
}

#[test]
fn nothing_moves_before_it_is_released_and_order_is_chosen() {
    let mut bench = bench();
    bench.control.hold();
    for id in 0..4 {
        bench.read(id, 4096);
    }
    assert!(!readable(&bench.engine, 30));
    assert_eq!((bench.engine.in_flight(), bench.engine.pending()), (4, 4));
    assert_eq!(bench.area.bytes(0, 32 << 10), vec![0; 32 << 10]);
    bench.control.release(2);
    assert_eq!(bench.ids(1), [2]);
    assert_eq!(bench.area.bytes(16 << 10, 4096), pattern(64 << 10, 1)[16 << 10..20 << 10]);
    bench.control.release(2);
    assert_eq!(bench.ids(1), [3]);
    bench.control.release(9);
    assert_eq!((bench.engine.in_flight(), bench.area.holders()), (2, 2));
    bench.control.release_all();
    assert_eq!(bench.ids(2), [0, 1]);
    bench.read(5, 512);
    assert_eq!(bench.ids(1), [5]);
    assert_eq!((bench.engine.pending(), bench.area.holders()), (0, 0));
}

#[test]
fn a_slow_disk_is_slow_and_wakes_its_owner() {
    let mut bench = bench();
    bench.control.delay(Duration::from_millis(50));
    let start = Instant::now();
    bench.read(0, 4096);
    std::thread::sleep(Duration::from_millis(10));
    bench.read(1, 4096);
    assert_eq!(bench.engine.in_flight(), 2);
    assert_eq!(bench.ids(2), [0, 1]);
    assert!(start.elapsed() >= Duration::from_millis(60), "{:?}", start.elapsed());
}

#[test]
fn failures_are_the_chosen_ones() {
    let mut bench = bench();
    bench.control.fail(1, libc::ENOSPC);
    bench.read(0, 4096);
    assert!(readable(&bench.engine, 1000));
    let done = wait(&mut bench.engine, 1);
    assert_eq!(done[0].result.as_ref().unwrap_err().raw_os_error(), Some(libc::ENOSPC));
    assert_eq!(bench.area.bytes(0, 4096), vec![0; 4096]);
    bench.read(1, 4096);
    assert_eq!(wait(&mut bench.engine, 1)[0].result.as_ref().unwrap(), &4096);
}

#[test]
fn a_shortened_transfer_can_be_continued_with_the_same_buffers() {
    let mut bench = bench();
    bench.control.shorten(1, 1024);
    bench.read(1, 4096);
    let done = wait(&mut bench.engine, 1).remove(0);
    assert_eq!((done.result.unwrap(), done.buffers.len_bytes()), (1024, 4096));
    assert_eq!(bench.area.bytes(8192 + 1024, 3072), vec![0; 3072]);
    let rest = done.buffers.slice(1024..4096);
    let one = transfer(1, &bench.file, 8192 + 1024, Kind::Read, rest);
    bench.engine.submit(one).unwrap();
    assert_eq!(wait(&mut bench.engine, 1)[0].result.as_ref().unwrap(), &3072);
    assert_eq!(bench.area.bytes(8192, 4096), pattern(64 << 10, 1)[8192..12288]);
}

#[test]
fn a_dropped_engine_gives_up_what_it_held() {
    let mut bench = bench();
    bench.control.hold();
    bench.read(0, 4096);
    let Bench { engine, area, .. } = bench;
    drop(engine);
    assert_eq!((area.holders(), area.bytes(0, 1)), (0, vec![0]));
}
