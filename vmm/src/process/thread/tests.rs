use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use super::*;

#[test]
fn a_thread_that_works_has_its_time_and_one_that_sleeps_or_has_ended_has_none() {
    let (say, said) = mpsc::channel::<()>();
    let (done, ready) = mpsc::channel();
    let sleeper = thread::spawn(move || said.recv());
    let (go_on, waits) = mpsc::channel::<()>();
    let worker = thread::spawn(move || {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(50) {}
        done.send(()).unwrap();
        waits.recv()
    });
    ready.recv().unwrap();
    let (works, sleeps) = (cpu_time(&worker), cpu_time(&sleeper));
    assert!(works > Duration::from_micros(500), "{works:?}");
    assert!(sleeps < works, "{sleeps:?}");
    drop((say, go_on));
    // A thread is gone some time after it has ended.
    let deadline = Instant::now() + Duration::from_secs(10);
    while cpu_time(&worker) != Duration::ZERO {
        assert!(Instant::now() < deadline, "a thread that has ended still has a time");
        thread::yield_now();
    }
    assert!(sleeper.join().unwrap().is_err() && worker.join().unwrap().is_err());
}
