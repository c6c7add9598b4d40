//! Many threads on one disk.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[test]
fn images_hold_still_while_threads_write() {
    let home = Home::new();
    let disk = home.above(options());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let (disk, done) = (&disk, &done);
            scope.spawn(move || {
                let mut round = 0;
                while !done.load(Ordering::Relaxed) {
                    round += 1;
                    write(disk, writer * 14 + round % 5, &[writer << 32 | round; 9]);
                    disk.flush().unwrap();
                }
            });
        }
        let mut kept = Vec::new();
        for number in 0..200 {
            let image = disk.snapshot().unwrap();
            let first = all(&image.spawn().unwrap());
            kept.push((image, first));
            if number % 7 == 0 {
                kept.remove(0);
            }
            for (image, tokens) in kept.iter().rev().take(3) {
                assert_eq!(&all(&image.spawn().unwrap()), tokens);
            }
        }
        done.store(true, Ordering::Relaxed);
        for (image, tokens) in &kept {
            assert_eq!(&all(&image.spawn().unwrap()), tokens);
        }
    });
    assert_eq!((disk.usage().in_flight, disk.usage().base_users), (0, 1));
    // At worst each sector is in a slot of another generation.
    assert!(disk.usage().live_slots as u64 <= SECTORS);
}
