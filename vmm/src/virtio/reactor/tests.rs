//! Reactors of a device that has nothing to do.

use std::sync::mpsc;

use vm_memory::{GuestAddress, GuestMemoryMmap};

use super::*;
use crate::virtio::Signals;
use crate::virtio::rng::{HostEntropy, Rng, RngWorker};
use crate::virtio::test_driver::Line;

const STARTS: usize = 1_500;
const RINGS: usize = 500;
const PATIENCE: Duration = Duration::from_secs(60);

fn idle_device() -> Arc<Rng<GuestMemoryMmap, HostEntropy>> {
    let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x1000)]).unwrap();
    let signals = Arc::new(Signals::new(Box::new(Line::default())));
    let worker = RngWorker::new(memory, HostEntropy, signals.clone());
    Arc::new(Rng::new(worker, signals).unwrap())
}

/// A doorbell that rings until then keeps the thread between its looks at the bell and at whether it is to stop.
#[test]
fn one_that_is_dropped_while_the_doorbell_rings_ends() {
    let device = idle_device();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for start in 0..STARTS {
            let reactor = Reactor::start("idle", device.clone()).unwrap();
            for _ in 0..start % RINGS {
                device.bell(0).write(1).unwrap();
            }
            drop(reactor);
            tell.send(()).unwrap();
        }
    });
    for start in 0..STARTS {
        assert_eq!(told.recv_timeout(PATIENCE), Ok(()), "reactor {start} does not end");
    }
}
