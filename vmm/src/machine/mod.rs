//! A running guest: its KVM machine, its vCPU threads, its devices.
//!
//! # The life of a vCPU
//!
//! ```text
//!             start, resume                    pause (a guard)
//!   Parked ------------------> Running  ---------------------------> Parked
//!                                 |  the guest ended or crashed, stop
//!                                 '--------------------------------> Stopped
//! ```
//!
//! A vCPU is parked when its thread is outside `KVM_RUN` *and* the exit it was in is completed: a
//! register that an access was going to load has its value, the instruction pointer is past the
//! access. Only then can its state be copied. Threads exist from the first start on; a restored
//! machine that was never started has none.
//!
//! # What it costs
//!
//! Medians on the development machines (2 cores, nested KVM), for one vCPU and 16 MiB, in
//! microseconds: pause a computing guest 88, save 77, resume 47; restore 270, of which the KVM
//! machine 100, the memory slot 31 and the vCPU with its state 140 to 230; start 30; drop 710. A
//! ping through the mailbox, with two exits and two thread hand-offs, 137.
//!
//! # Locks
//!
//! ```text
//! Machine::gate          one pause, start or stop at a time; a Paused guard holds it
//!   Vcpu::lock           the descriptor: held by the vCPU thread while it runs
//!     device locks
//!     Slot::control      what a vCPU is asked to do and what it does; inside it only whether a
//!                        thread exists is looked up, and no call is made that can block
//!     Shared::end        why the machine stopped
//! ```
//!
//! Guest memory may be served by a userfaultfd thread: a vCPU that waits for it is neither running
//! nor interruptible, and pausing waits for it. That thread must take none of these locks.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::boot::linux::layout::VirtioPlace;
use crate::boot::linux::{Hardware, Linux};
use crate::boot::{self, linux};
use crate::devices::{Doorbell, Line, Mailbox, MmioBus, Serial};
use crate::kvm::{Host, KvmError, Vcpu, VcpuState, Vm};

mod board;
mod config;
mod create;
mod error;
mod generation;
mod kick;
mod pause;
pub mod ram;
pub mod ring0;
mod shared;
mod slot;
mod state;
mod step;
mod stopped;
mod thread;

pub use board::PcDevices;
pub use config::{BusDevice, MachineConfig, Wire};
pub use error::{MachineError, PauseError};
pub use generation::{GenerationId, NotAGenerationId};
pub use pause::Paused;
pub use ram::{GuestRam, RamError};
pub use slot::ParkedAt;
pub use state::{MachineState, PcState, SavedVcpu};
pub use stopped::Stopped;

use board::Board;
use create::{Chips, create};
use shared::Shared;

#[cfg(test)]
mod tests;

/// One guest. See the module's documentation. Dropping it stops it and waits for its threads.
pub struct Machine {
    // Fields are dropped in this order: threads are joined by `drop` first, then descriptors, then
    // the memory that they spoke of.
    shared: Arc<Shared>,
    gate: Mutex<Gate>,
    vm: Vm,
    ram: GuestRam,
    host: Arc<Host>,
}

/// Whether vCPUs run when nobody has paused them.
#[derive(Debug, Default)]
struct Gate {
    started: bool,
}

impl Machine {
    /// Loads `payload` into zeroed `ram` and makes vCPUs that stand at its entry. None runs before
    /// [`Machine::start`].
    ///
    /// # Errors
    ///
    /// [`MachineError::Boot`] and [`MachineError::Kvm`].
    pub fn boot(
        host: &Arc<Host>,
        ram: GuestRam,
        config: MachineConfig,
        payload: &[u8],
    ) -> Result<Machine, MachineError> {
        let ram_bytes = ram.len_bytes() as u64;
        let loaded = boot::load(ram.memory(), ram_bytes, config.vcpus, payload)?;
        let (vm, vcpus) = create(host, &ram, config.vcpus, Chips::None)?;
        for vcpu in &vcpus {
            boot::entry::set(vcpu, &loaded)?;
        }
        let serial = Serial::new(config.serial, Box::new(()));
        let board = Board::payload(serial, mailboxes(config.vcpus), config.devices)?;
        let parked = vec![ParkedAt::Exit; vcpus.len()];
        Machine::assemble(host, vm, vcpus, &parked, board, ram)
    }

    /// Loads a Linux kernel into zeroed `ram` and makes a PC whose first vCPU stands at the kernel's
    /// entry. None runs before [`Machine::start`].
    ///
    /// # Errors
    ///
    /// [`MachineError::Host`] and [`MachineError::Ring0`] on a host that cannot run kernels,
    /// [`MachineError::Boot`], [`MachineError::Linux`] and [`MachineError::Kvm`].
    pub fn boot_linux(
        host: &Arc<Host>,
        ram: GuestRam,
        config: MachineConfig,
        system: &Linux,
    ) -> Result<Machine, MachineError> {
        host.check_chips()?;
        let ram_bytes = ram.len_bytes() as u64;
        boot::check_size(ram_bytes, config.vcpus)?;
        let place = |device: &BusDevice| {
            let &BusDevice { start, len_bytes, ref wire, .. } = device;
            wire.as_ref().map(|wire| VirtioPlace { start, len_bytes, irq: wire.irq })
        };
        let virtio = config.devices.iter().filter_map(place).collect();
        let hardware = Hardware { ram_bytes, vcpus: config.vcpus, virtio };
        let entry = linux::load(ram.memory(), &hardware, system)?;
        // After the files: what is wrong with them is so on every host.
        ring0::check(host)?;
        let (vm, vcpus) = create(host, &ram, config.vcpus, Chips::Pc)?;
        vcpus.iter().try_for_each(Vcpu::wire_lapic)?;
        linux::enter(&vcpus, entry)?;
        let line = Line::new().map_err(MachineError::Line)?;
        let serial = (Serial::new(config.serial, Box::new(line.clone())), line);
        let new = PcDevices::default();
        let generation = generation::give(&ram, false)?;
        let mailboxes = mailboxes(config.vcpus);
        let board = Board::pc(serial, mailboxes, config.devices, generation, &new)?;
        let parked = vec![ParkedAt::Exit; vcpus.len()];
        Machine::assemble(host, vm, vcpus, &parked, board, ram)
    }

    /// Makes the machine that `state` describes, over memory that has the content it had then. It
    /// goes on where it was saved, once [`Machine::start`] is called. `config.vcpus` is not used. A PC
    /// has a new generation ID, and its interrupt is pending.
    ///
    /// # Errors
    ///
    /// [`MachineError`] names the part of the state that was refused.
    pub fn restore(
        host: &Arc<Host>,
        ram: GuestRam,
        config: MachineConfig,
        state: &MachineState,
    ) -> Result<Machine, MachineError> {
        state.check(ram.len_bytes() as u64)?;
        let chips = if state.pc.is_some() { Chips::Pc } else { Chips::None };
        let (vm, vcpus) = create(host, &ram, state.vcpus.len() as u32, chips)?;
        for (vcpu, saved) in vcpus.iter().zip(&state.vcpus) {
            saved
                .state
                .restore(host, vcpu)
                .map_err(|source| MachineError::Restore { vcpu: vcpu.index(), source })?;
        }
        let restored = |saved: &SavedVcpu| Arc::new(Mailbox::restore(&saved.mailbox));
        let mailboxes = state.vcpus.iter().map(restored).collect();
        let (serial, sink) = (&state.serial, config.serial);
        let board = match &state.pc {
            None => {
                let serial = Serial::restore(serial, sink, Box::new(()))?;
                Board::payload(serial, mailboxes, config.devices)?
            }
            Some(pc) => {
                vm.restore_chips(&pc.chips).map_err(MachineError::Chips)?;
                let line = Line::new().map_err(MachineError::Line)?;
                let serial = Serial::restore(serial, sink, Box::new(line.clone()))?;
                let generation = generation::give(&ram, true)?;
                let serial = (serial, line);
                Board::pc(serial, mailboxes, config.devices, generation, &pc.devices)?
            }
        };
        let parked: Vec<ParkedAt> = state.vcpus.iter().map(|saved| saved.parked_at).collect();
        Machine::assemble(host, vm, vcpus, &parked, board, ram)
    }

    fn assemble(
        host: &Arc<Host>,
        vm: Vm,
        vcpus: Vec<Vcpu>,
        parked: &[ParkedAt],
        board: Board,
        ram: GuestRam,
    ) -> Result<Machine, MachineError> {
        if host.has_ioeventfd() {
            for (address, Doorbell { value, event, .. }) in board.bus.doorbells() {
                vm.ring_on_write(address, value, &event)?;
            }
        }
        // After the state of the interrupt controllers, which what is raised by now must not precede.
        for Wire { line, irq } in &board.wires {
            vm.connect(line.event(), *irq)?;
        }
        let shared = Arc::new(Shared::new(vcpus, parked, board));
        Ok(Machine { shared, gate: Mutex::default(), vm, ram, host: host.clone() })
    }

    /// Lets the vCPUs run. Starting a machine that runs does nothing.
    ///
    /// # Errors
    ///
    /// [`MachineError::Stopped`] when it has ended, [`MachineError::Thread`] when the host has no
    /// room for another thread; the machine is then stopped.
    pub fn start(&self) -> Result<(), MachineError> {
        kick::install()?;
        let mut gate = self.gate.lock();
        if let Some(reason) = self.shared.end() {
            return Err(MachineError::Stopped { reason });
        }
        if !gate.started
            && let Err(error) = thread::resume_all(&self.shared)
        {
            self.shared.finish(Stopped::Killed);
            return Err(error);
        }
        gate.started = true;
        Ok(())
    }

    /// Parks all vCPUs, with every exit completed, for as long as the guard lives.
    ///
    /// Waits for vCPUs that are in a page fault, and for another pause to end: a thread that holds
    /// a guard must not pause again.
    ///
    /// # Errors
    ///
    /// [`PauseError::Stopped`] when the guest has ended.
    pub fn pause(&self) -> Result<Paused<'_>, PauseError> {
        Paused::new(self, self.gate.lock())
    }

    /// Whether its vCPUs run when nobody has paused it. Waits for a pause to end.
    pub fn is_started(&self) -> bool {
        self.gate.lock().started
    }

    /// Parks all vCPUs, with every exit completed, until [`Machine::start`] is called. While they are
    /// parked, [`Machine::pause`] finds them so and leaves them so. Devices go on.
    ///
    /// # Errors
    ///
    /// As [`Machine::pause`].
    pub fn suspend(&self) -> Result<(), PauseError> {
        Paused::new(self, self.gate.lock()).map(Paused::keep)
    }

    /// Waits until the machine has ended and its threads are gone.
    ///
    /// Waits for ever when nobody starts the machine.
    pub fn wait(&self) -> Stopped {
        let reason = self.shared.wait_end();
        self.shared.join();
        reason
    }

    /// As [`Machine::wait`], for at most `timeout`. `None` when the machine goes on.
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Stopped> {
        let reason = self.shared.wait_end_timeout(timeout)?;
        self.shared.join();
        Some(reason)
    }

    /// Ends the guest, whatever it does, and waits until its threads are gone. Returns why it
    /// ended, which is [`Stopped::Killed`] unless it was over before.
    pub fn stop(&self) -> Stopped {
        self.shared.finish(Stopped::Killed);
        self.wait()
    }

    /// Why the machine has ended, if it has.
    pub fn ended(&self) -> Option<Stopped> {
        self.shared.end()
    }

    /// How many vCPUs the guest has.
    pub fn vcpus(&self) -> u32 {
        self.shared.slots.len() as u32
    }

    /// The CPU time that its vCPUs have taken, in the guest and for its exits and faults. 0 when it has ended.
    pub fn cpu_time(&self) -> Duration {
        self.shared.cpu_time()
    }

    /// The mailbox of a vCPU, if there is such a vCPU.
    pub fn mailbox(&self, vcpu: u32) -> Option<&Arc<Mailbox>> {
        self.shared.board.mailboxes.get(vcpu as usize)
    }

    /// The serial port: what the guest is typed into.
    pub fn serial(&self) -> &Arc<Serial> {
        &self.shared.board.serial
    }

    /// The device bus.
    pub fn bus(&self) -> &MmioBus {
        &self.shared.board.bus
    }

    /// Which copy of the guest this is. A PC knows, other machines do not.
    pub fn generation_id(&self) -> Option<GenerationId> {
        self.shared.board.generation_id()
    }

    /// The guest's memory.
    pub fn ram(&self) -> &GuestRam {
        &self.ram
    }

    /// The host that it runs on.
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// The KVM machine.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    fn save_vcpu(&self, vcpu: &Vcpu) -> Result<VcpuState, KvmError> {
        VcpuState::save(&self.host, vcpu, self.shared.board.save_pc().is_some())
    }

    /// Reads what only a PC has. No vCPU runs.
    fn save_pc(&self) -> Result<Option<PcState>, KvmError> {
        let Some(devices) = self.shared.board.save_pc() else { return Ok(None) };
        Ok(Some(PcState { chips: self.vm.save_chips()?, devices }))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.shared.finish(Stopped::Killed);
        self.shared.join();
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine")
            .field("vcpus", &self.vcpus())
            .field("ram_bytes", &self.ram.len_bytes())
            .field("ended", &self.ended())
            .finish_non_exhaustive()
    }
}

fn mailboxes(vcpus: u32) -> Vec<Arc<Mailbox>> {
    (0..vcpus).map(|_| Arc::new(Mailbox::new())).collect()
}
