//! What a doorbell costs a guest, with KVM's help and without.

use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pincow_guest_protocol::devices::DEVICES_BASE;
use serde::Serialize;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EventFd};

use super::probe_guest::{End, ProbeGuest};
use crate::cli::spread::Spread;
use crate::kvm::Host;

/// Where the bell is, and where the store is that says that all was rung.
const BELL: u64 = DEVICES_BASE;
const DONE: u64 = DEVICES_BASE + 0x100;

/// How often the bell is rung in one sample.
const RINGS: u32 = 50;
/// How many samples are timed, after some that warm everything up.
const TIMED: usize = 40;
const WARM_UP: usize = 4;

/// From a guest's store to its next instruction, while a thread waits for the bell and is woken each
/// time, as that of a disk is.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Doorbell {
    /// The kernel rings (KVM_IOEVENTFD). Nothing where it cannot.
    pub(super) in_kernel_us: Option<Spread>,
    /// The store is an exit, and this process rings.
    pub(super) as_exit_us: Spread,
    /// The first in units of the second, by their medians.
    pub(super) ratio_p50: Option<f64>,
}

/// Both, sample by sample in turns; nothing when there are no guests.
pub(super) fn cost(host: &Host) -> Option<Doorbell> {
    let by_exit = Rung::new(host, false).ok()?;
    let in_kernel = host.has_ioeventfd().then(|| Rung::new(host, true).ok()).flatten();
    let (mut exits, mut kernel) = (Vec::new(), Vec::new());
    for _ in 0..TIMED + WARM_UP {
        exits.push(by_exit.sample()?);
        if let Some(in_kernel) = &in_kernel {
            kernel.push(in_kernel.sample()?);
        }
    }
    let as_exit_us = Spread::of(&exits[WARM_UP..]);
    let in_kernel_us = in_kernel.is_some().then(|| Spread::of(&kernel[WARM_UP..]));
    let ratio = |kernel: Spread| (kernel.p50 / as_exit_us.p50 * 100.0).round() / 100.0;
    Some(Doorbell { in_kernel_us, as_exit_us, ratio_p50: in_kernel_us.map(ratio) })
}

/// A guest that rings, and what it rings.
struct Rung {
    guest: ProbeGuest,
    event: EventFd,
}

impl Rung {
    fn new(host: &Host, in_kernel: bool) -> Result<Self, Box<dyn Error>> {
        let guest = ProbeGuest::in_ring3(host, &program())?;
        let event = EventFd::new(EFD_CLOEXEC)?;
        if in_kernel {
            guest.vm().ring_on_write(BELL, 0, &event)?;
        }
        Ok(Self { guest, event })
    }

    /// The mean time of a ring; nothing when the guest does something else.
    fn sample(&self) -> Option<Duration> {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while self.event.read().is_ok() {
                    if over.load(Ordering::Acquire) {
                        return;
                    }
                }
            });
            let time = self.rings();
            over.store(true, Ordering::Release);
            self.event.write(1).and(time).ok()
        })
    }

    fn rings(&self) -> io::Result<Duration> {
        let begun = Instant::now();
        loop {
            match self.guest.enter() {
                End::Stored(BELL) => self.event.write(1)?,
                End::Stored(DONE) => return Ok(begun.elapsed() / RINGS),
                _ => return Err(io::ErrorKind::Other.into()),
            }
        }
    }
}

/// movabs rax, BELL; movabs rbx, DONE; again: mov ecx, RINGS; xor edx, edx; ring: mov [rax], edx;
/// dec ecx; jnz ring; mov [rbx], dl; jmp again
fn program() -> Vec<u8> {
    let mut code = vec![0x48, 0xb8];
    code.extend(BELL.to_le_bytes());
    code.extend([0x48, 0xbb]);
    code.extend(DONE.to_le_bytes());
    code.push(0xb9);
    code.extend(RINGS.to_le_bytes());
    code.extend([0x31, 0xd2, 0x89, 0x10, 0xff, 0xc9, 0x75, 0xfa, 0x88, 0x13, 0xeb, 0xef]);
    code
}
