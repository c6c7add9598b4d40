use std::sync::mpsc;
use std::thread::Builder;
use std::time::Instant;

use super::*;

#[test]
fn a_thread_that_works_has_its_time_and_one_that_sleeps_has_none() {
    let (say, said) = mpsc::channel::<()>();
    let (done, ready) = mpsc::channel();
    let sleeper = Builder::new().name("cow-sleeps".into()).spawn(move || said.recv()).unwrap();
    let (go_on, waits) = mpsc::channel::<()>();
    let worker = Builder::new().name("cow-works".into()).spawn(move || {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(50) {}
        done.send(()).unwrap();
        waits.recv()
    });
    ready.recv().unwrap();
    let (works, sleeps) = (of_threads("cow-works").unwrap(), of_threads("cow-sleeps").unwrap());
    assert!(works > Duration::from_micros(500), "{works:?}");
    assert!(sleeps < works, "{sleeps:?}");
    drop((say, go_on));
    assert!(sleeper.join().unwrap().is_err() && worker.unwrap().join().unwrap().is_err());
    // A thread leaves the process's list some time after it has ended.
    let deadline = Instant::now() + Duration::from_secs(10);
    while of_threads("cow-works").unwrap() != Duration::ZERO {
        assert!(Instant::now() < deadline, "a thread that has ended is still counted");
        std::thread::yield_now();
    }
}
