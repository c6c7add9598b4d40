//! The floor: a virtual machine made of the bare KVM calls, without anything above them.
//!
//! ```text
//! mmap of the memory                                 one call
//! KVM_CREATE_VM, KVM_SET_USER_MEMORY_REGION          memory first
//! KVM_CREATE_VCPU, mmap of kvm_run, KVM_SET_CPUID2   per vCPU
//! eight calls for its state                          all MSRs in one, every buffer made before
//! a thread, KVM_RUN                                  per vCPU
//! ```
//!
//! Its only devices are the mailbox, so that the payload finds whom it speaks to, and a serial port, to which
//! it says so when it boots.

#![expect(unsafe_code, reason = "KVM is given the address of guest memory")]

use std::time::{Duration, Instant};

use pincow_guest_protocol::{Command, Status};

use super::{BenchError, FloorSample};
use crate::boot::{Loaded, entry};
use crate::drive::PATIENCE;
use crate::kvm::{Host, Vcpu, Vcpus, Vm};
use crate::machine::MachineState;

mod cpu;
mod memory;
mod pages;
mod protect;
mod state;

pub(super) use memory::{Content, View, Writes};
pub use pages::Steps;
pub(super) use pages::WrittenPages;
pub(super) use protect::Protector;
pub(super) use state::CpuState;

use cpu::Cpu;

/// A bare virtual machine.
pub(super) struct Bare {
    // Dropped in this order: the vCPUs' threads end before the memory goes.
    cpus: Vec<Cpu>,
    _vm: Vm,
    memory: View,
}

impl Bare {
    /// A machine over `memory` whose vCPUs stand where `states` say. Nothing runs yet.
    pub(super) fn new(host: &Host, memory: View, states: &[CpuState]) -> Result<Self, BenchError> {
        let set = |vcpu: &Vcpu| Ok(states[vcpu.index() as usize].set(&vcpu.lock())?);
        Self::with(host, memory, states.len() as u32, set)
    }

    /// A machine over `memory`, in which `loaded` lies, whose vCPUs stand at its entry.
    pub(super) fn at_entry(host: &Host, memory: View, loaded: &Loaded) -> Result<Self, BenchError> {
        Self::with(host, memory, loaded.vcpus, |vcpu| Ok(entry::set(vcpu, loaded)?))
    }

    fn with(
        host: &Host,
        memory: View,
        vcpus: u32,
        set: impl Fn(&Vcpu) -> Result<(), BenchError>,
    ) -> Result<Self, BenchError> {
        let vm = Vm::new(host)?;
        // SAFETY: `memory` stays mapped until the vCPUs' threads have ended (see the fields), and no
        // Rust reference into it is ever made.
        unsafe { vm.map_ram(0, 0, memory.address(), memory.len_bytes() as u64) }?;
        let all = Vcpus { count: vcpus, tsc_deadline: false };
        let cpu = |index| {
            let vcpu = vm.create_vcpu(host, index, all)?;
            set(&vcpu)?;
            Ok(Cpu::new(vcpu))
        };
        let cpus = (0..vcpus).map(cpu).collect::<Result<_, BenchError>>()?;
        Ok(Self { cpus, _vm: vm, memory })
    }

    /// Lets all vCPUs run.
    pub(super) fn start(&mut self) -> Result<(), BenchError> {
        self.cpus.iter_mut().try_for_each(Cpu::start)
    }

    /// The memory, as the guest sees it.
    pub(super) fn memory(&self) -> &View {
        &self.memory
    }

    /// How many vCPUs it has.
    pub(super) fn vcpus(&self) -> u32 {
        self.cpus.len() as u32
    }

    /// The CPU time that its vCPUs have taken.
    pub(super) fn cpu_time(&self) -> Duration {
        self.cpus.iter().map(Cpu::cpu_time).sum()
    }

    /// Asks vCPU `vcpu` for something, and does not wait.
    pub(super) fn post(&self, vcpu: u32, command: Command) -> Result<(), BenchError> {
        Ok(self.cpus[vcpu as usize].mailbox().post(command)?)
    }

    /// Waits for the answer to a command that was posted, or was in progress in the state.
    pub(super) fn reply(&self, vcpu: u32) -> Result<[u64; 4], BenchError> {
        let cpu = &self.cpus[vcpu as usize];
        let reply = cpu.mailbox().wait_reply(PATIENCE).map_err(|error| cpu.failure(error))?;
        match reply.status() {
            Some(Status::Ok) => Ok(reply.values),
            _ => Err(BenchError::FloorEnded(format!("it refused with status {}", reply.status))),
        }
    }

    /// How long vCPU 0 takes for a command.
    pub(super) fn timed_call(&self, command: Command) -> Result<Duration, BenchError> {
        let begun = Instant::now();
        self.post(0, command)?;
        self.reply(0)?;
        Ok(begun.elapsed())
    }

    /// The answer that vCPU 0 is about to give, timed from `begun` on.
    pub(super) fn answer_since(&self, begun: Instant) -> Result<FloorSample, BenchError> {
        self.reply(0)?;
        let answer = begun.elapsed();
        let first_exit = self.cpus[0].first_exit().map_or(answer, |at| at - begun);
        Ok(FloorSample { first_exit, answer })
    }

    /// The floor below a mailbox that says: this command is being obeyed.
    pub(super) fn take_up(&self, vcpu: u32, command: Command) -> Result<(), BenchError> {
        self.cpus[vcpu as usize].take_up(command)
    }

    /// Brings all vCPUs out of the guest and copies their state into `buffers`, each in its thread.
    pub(super) fn pause(&self, buffers: &mut Vec<CpuState>) -> Result<(), BenchError> {
        for (cpu, buffer) in self.cpus.iter().zip(buffers.drain(..)) {
            cpu.request_park(buffer)?;
        }
        for cpu in &self.cpus {
            buffers.push(cpu.wait_parked()?);
        }
        Ok(())
    }

    /// Lets paused vCPUs go on.
    pub(super) fn resume(&self) {
        self.cpus.iter().for_each(Cpu::resume);
    }
}

/// Buffers with the state of each vCPU of a saved machine.
pub(super) fn states_of(host: &Host, state: &MachineState) -> Result<Vec<CpuState>, BenchError> {
    state.vcpus.iter().map(|saved| CpuState::of(host, &saved.state)).collect()
}
