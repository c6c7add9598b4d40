use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::*;
use crate::devices::{Doorbell, Flow, MmioDevice};

const DEVICE: u32 = 0xd001_0000;
const REGISTER: u64 = 0x50;

/// A device with a bell for 0 and one for 1 in the same register. It remembers the writes that came
/// to it.
struct Bells {
    bells: [Arc<EventFd>; 2],
    writes: Mutex<Vec<(u64, Vec<u8>)>>,
}

impl MmioDevice for Bells {
    fn read(&self, _: u64, _: &mut [u8]) -> Flow {
        Flow::Continue
    }

    fn write(&self, offset: u64, data: &[u8]) -> Flow {
        self.writes.lock().push((offset, data.to_vec()));
        Flow::Continue
    }

    fn doorbells(&self) -> Vec<Doorbell> {
        let bells = (0..).zip(&self.bells);
        bells
            .map(|(value, event)| Doorbell { offset: REGISTER, value, event: Arc::clone(event) })
            .collect()
    }
}

impl Bells {
    fn new() -> Arc<Self> {
        let bells = [0, 1].map(|_| Arc::new(EventFd::new(EFD_NONBLOCK).unwrap()));
        Arc::new(Self { bells, writes: Mutex::default() })
    }

    fn config(self: &Arc<Self>) -> MachineConfig {
        let device: Arc<dyn MmioDevice> = self.clone();
        let device = BusDevice { start: DEVICE.into(), len_bytes: 0x1000, device, wire: None };
        MachineConfig { devices: vec![device], ..MachineConfig::default() }
    }

    /// How often each bell was rung since the last look.
    fn rung(&self) -> [u64; 2] {
        [0, 1].map(|bell: usize| self.bells[bell].read().unwrap_or(0))
    }
}

/// mov eax, value; mov [rdi], then 1, 2, 4 and 8 bytes of it
fn ring(value: u8) -> Vec<u8> {
    let mut program = vec![0xb8, value, 0, 0, 0];
    program.extend([0x88, 0x07, 0x66, 0x89, 0x07, 0x89, 0x07, 0x48, 0x89, 0x07]);
    program
}

/// Rings with 0, 1, 1 and 2, in every width each time, and with 0 four bytes further on.
fn program() -> Vec<u8> {
    let mut program = code::set_rdi(DEVICE + REGISTER as u32).to_vec();
    program.extend([0, 1, 1, 2].into_iter().flat_map(ring));
    program.extend(code::set_rdi(DEVICE + REGISTER as u32 + 4));
    program.extend(ring(0));
    program.extend(code::exit(7));
    program
}

/// The writes of the program that are no doorbells, with those that are if they come too.
fn writes(all: bool) -> Vec<(u64, Vec<u8>)> {
    let mut writes = Vec::new();
    for (offset, value) in [(0, 0), (0, 1), (0, 1), (0, 2), (4, 0)] {
        for len in [1, 2, 4, 8_usize] {
            let is_doorbell = len == 4 && offset == 0 && value < 2;
            if all || !is_doorbell {
                let mut data = vec![0; len];
                data[0] = value;
                writes.push((REGISTER + offset, data));
            }
        }
    }
    writes
}

fn run(host: &Arc<Host>) -> Arc<Bells> {
    let device = Bells::new();
    let machine = Machine::boot(host, ram(), device.config(), &elf(&program())).unwrap();
    machine.start().unwrap();
    assert_eq!(machine.wait(), Stopped::Exit { vcpu: 0, code: 7 });
    device
}

#[test]
fn doorbells_stay_in_the_kernel_and_nothing_else_does() {
    let Some(host) = host() else { return };
    if !host.has_ioeventfd() {
        eprintln!("skipped: this KVM has no KVM_CAP_IOEVENTFD");
        return;
    }
    let device = run(&host);
    assert_eq!(device.rung(), [1, 2]);
    assert_eq!(*device.writes.lock(), writes(false));
}

#[test]
fn a_host_without_them_brings_every_doorbell_to_the_device() {
    if host().is_none() {
        return;
    }
    let device = run(&Arc::new(Host::open().unwrap().without_ioeventfd()));
    assert_eq!(device.rung(), [0, 0]);
    assert_eq!(*device.writes.lock(), writes(true));
}

#[test]
fn a_copy_rings_its_own_bells() {
    let Some(host) = host() else { return };
    let parents = Bells::new();
    let parent = Machine::boot(&host, ram(), parents.config(), &elf(&program())).unwrap();
    let paused = parent.pause().unwrap();
    let state = paused.save().unwrap();
    let (copy, childs) = (copy_of(parent.ram()), Bells::new());
    drop(paused);
    let child = Machine::restore(&host, copy, childs.config(), &state).unwrap();
    child.start().unwrap();
    assert_eq!(child.wait(), Stopped::Exit { vcpu: 0, code: 7 });
    assert_eq!((parents.rung(), parents.writes.lock().len()), ([0, 0], 0));
    let all = !host.has_ioeventfd();
    assert_eq!(*childs.writes.lock(), writes(all));
    assert_eq!(childs.rung(), if all { [0, 0] } else { [1, 2] });
}
