//! One time into the guest and out of it.

use kvm_bindings::{kvm_regs, kvm_sregs};
use kvm_ioctls::{VcpuExit, VcpuFd};

use super::board::Board;
use super::{ParkedAt, Stopped};
use crate::devices::{Flow, MmioBus};
use crate::kvm::exit;

/// What came of it.
#[derive(Debug)]
pub(super) enum Step {
    /// An exit was served; it is completed on the next entry.
    Served,
    /// As `Served`, but a device gave up waiting so that the vCPU can be had.
    Blocked,
    /// The guest was left without an exit, with nothing pending.
    Interrupted(ParkedAt),
    /// The guest cannot go on.
    Ended(Stopped),
}

/// Enters the guest and serves one exit.
pub(super) fn step(fd: &mut VcpuFd, board: &Board, vcpu: u32) -> Step {
    let flow = match fd.run() {
        Ok(VcpuExit::MmioRead(address, data)) => board.bus.read(address, data),
        Ok(VcpuExit::MmioWrite(address, data)) => board.bus.write(address, data),
        Ok(VcpuExit::IoIn(..) | VcpuExit::IoOut(..)) => ports(fd, &board.ports),
        Ok(VcpuExit::IrqWindowOpen) => Flow::Continue,
        Ok(VcpuExit::Intr) => return interrupted(fd),
        Ok(VcpuExit::Hlt) => return Step::Ended(Stopped::Halted { vcpu }),
        Ok(VcpuExit::Shutdown) => return Step::Ended(shutdown(fd, vcpu)),
        Ok(VcpuExit::InternalError) => return Step::Ended(internal_error(fd, vcpu)),
        Ok(VcpuExit::FailEntry(hardware_reason, _)) => {
            return Step::Ended(Stopped::EntryRefused { vcpu, hardware_reason });
        }
        Ok(VcpuExit::MemoryFault { gpa, .. }) => {
            return Step::Ended(memory_fault(fd, vcpu, "EFAULT".into(), Some(gpa)));
        }
        Ok(other) => {
            let exit = format!("{other:?}");
            return Step::Ended(Stopped::Unserved { vcpu, exit });
        }
        Err(errno) => match errno.errno() {
            libc::EINTR | libc::EAGAIN => return interrupted(fd),
            libc::EFAULT | libc::EHWPOISON => {
                return Step::Ended(memory_fault(fd, vcpu, errno.to_string(), None));
            }
            _ => return Step::Ended(Stopped::RunFailed { vcpu, errno: errno.to_string() }),
        },
    };
    match flow {
        Flow::Continue => Step::Served,
        Flow::Interrupted => Step::Blocked,
        Flow::Exit(code) => Step::Ended(Stopped::Exit { vcpu, code }),
        Flow::PowerOff => Step::Ended(Stopped::PowerOff { vcpu }),
        Flow::Reset => Step::Ended(Stopped::Reset { vcpu }),
        Flow::Panicked => Step::Ended(Stopped::Panicked { vcpu }),
    }
}

/// A port access; a string instruction has several elements, all of the same port.
fn ports(fd: &mut VcpuFd, bus: &MmioBus) -> Flow {
    let Some(access) = exit::port_access(fd) else { return Flow::Continue };
    let (port, write) = (u64::from(access.port), access.write);
    for element in access.data.chunks_exact_mut(access.element_len) {
        let flow = match write {
            true => bus.write(port, element),
            false => bus.read(port, element),
        };
        if flow != Flow::Continue {
            return flow;
        }
    }
    Flow::Continue
}

fn interrupted(fd: &mut VcpuFd) -> Step {
    match exit::was_interrupted(fd) {
        true => Step::Interrupted(ParkedAt::MidRun),
        false => Step::Interrupted(ParkedAt::Exit),
    }
}

fn shutdown(fd: &VcpuFd, vcpu: u32) -> Stopped {
    let registers = registers(fd);
    Stopped::Shutdown { vcpu, rip: rip(&registers), fault_address: fault_address(&registers) }
}

fn internal_error(fd: &mut VcpuFd, vcpu: u32) -> Stopped {
    let error = exit::internal_error(fd);
    let registers = registers(fd);
    Stopped::InternalError {
        vcpu,
        suberror: error.suberror,
        rip: rip(&registers),
        ring: registers.as_ref().map(|(_, sregs)| sregs.ss.dpl),
        instruction: error.instruction,
        data: error.data,
    }
}

fn memory_fault(fd: &VcpuFd, vcpu: u32, errno: String, gpa: Option<u64>) -> Stopped {
    let registers = registers(fd);
    let (rip, fault_address) = (rip(&registers), fault_address(&registers));
    Stopped::MemoryFault { vcpu, errno, gpa, rip, fault_address }
}

type Registers = Option<(kvm_regs, kvm_sregs)>;

/// The registers at the end, unless KVM has reset the vCPU: it then stands at the reset vector.
fn registers(fd: &VcpuFd) -> Registers {
    const RESET_CODE_BASE: u64 = 0xffff_0000;
    let (regs, sregs) = fd.get_regs().ok().zip(fd.get_sregs().ok())?;
    (sregs.cs.base != RESET_CODE_BASE).then_some((regs, sregs))
}

fn rip(registers: &Registers) -> Option<u64> {
    registers.as_ref().map(|(regs, _)| regs.rip)
}

fn fault_address(registers: &Registers) -> Option<u64> {
    registers.as_ref().map(|(_, sregs)| sregs.cr2).filter(|&cr2| cr2 != 0)
}
