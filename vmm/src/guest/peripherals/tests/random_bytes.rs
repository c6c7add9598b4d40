use super::*;

const ENTRIES: u16 = 16;

/// How often a request is tried to be left available at a cut: nobody rings the doorbell, but the
/// device's thread may be looking just then.
const MOST_TRIES: u16 = 100;

#[test]
fn each_side_of_a_fork_is_given_other_bytes() {
    let Some(host) = host() else { return };
    let parent = boot(&host, vec![None], true);
    let registers = parent.peripherals.rng.as_ref().unwrap().registers.clone();
    let mut ring = Ring::new(0, RNG_RING, ENTRIES);
    test_driver::start(&*registers, &[&ring], false);
    for _ in 0..MOST_TRIES {
        ring.chain(parent.machine().ram().memory(), 0, &[(IN, 64, true)]);
        ring.offer(parent.machine().ram().memory(), 0);
        let (child, _) = parent.fork(nowhere()).unwrap();
        assert_eq!(wait_used(&child, &mut ring.clone(), 1), [(0, 64)], "without a doorbell");
        write32(&*registers, 0x50, 0);
        assert_eq!(wait_used(&parent, &mut ring, 1), [(0, 64)]);
        if child.rng_counts().unwrap().requests == 0 {
            continue;
        }
        let (ours, its) = (read::<64>(&parent, IN), read::<64>(&child, IN));
        assert!(ours != its && ours != [0; 64] && its != [0; 64]);
        assert_eq!(parent.realm().family().audit([]), Ok(()));
        return;
    }
    panic!("the request was served before each of {MOST_TRIES} cuts");
}
