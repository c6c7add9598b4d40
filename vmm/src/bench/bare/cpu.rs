//! A vCPU of the floor, and its thread.

use std::sync::{Arc, OnceLock};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use kvm_ioctls::{VcpuExit, VcpuFd};
use parking_lot::{Condvar, Mutex};
use pincow_guest_protocol::Command;
use pincow_guest_protocol::devices::{MAILBOX_STRIDE, SERIAL_BASE, SERIAL_REGISTERS, mailbox};
use vmm_sys_util::signal::{Killable, SIGRTMIN, register_signal_handler};

use super::{BenchError, CpuState};
use crate::devices::serial::nowhere;
use crate::devices::{Flow, Mailbox, MailboxError, MmioDevice, Serial};
use crate::kvm::{KvmError, Vcpu};
use crate::process::cpu_time;

/// As pincow's own vCPU threads have.
const STACK_BYTES: usize = 256 << 10;

/// Of the real-time signals; pincow's own kick is another one.
const SIGNAL_OFFSET: i32 = 4;

/// What a vCPU is asked to do, or does.
enum Order {
    Run,
    /// Leave the guest, and fill this buffer.
    Park(Box<CpuState>),
    /// Out of the guest; the buffer is filled.
    Parked(Box<CpuState>),
    /// Out of the guest; the buffer was collected.
    Idle,
    /// End, or ended: why, if it was not asked to.
    Stop(Option<String>),
}

struct Shared {
    vcpu: Vcpu,
    mailbox: Mailbox,
    serial: Serial,
    order: Mutex<Order>,
    changed: Condvar,
    first_exit: OnceLock<Instant>,
}

/// A vCPU of the floor. Dropping it ends its thread.
pub(super) struct Cpu {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Cpu {
    pub(super) fn new(vcpu: Vcpu) -> Self {
        let shared = Shared {
            vcpu,
            mailbox: Mailbox::new(),
            serial: Serial::new(nowhere(), Box::new(())),
            order: Mutex::new(Order::Run),
            changed: Condvar::new(),
            first_exit: OnceLock::new(),
        };
        Self { shared: Arc::new(shared), thread: None }
    }

    pub(super) fn start(&mut self) -> Result<(), BenchError> {
        let shared = Arc::clone(&self.shared);
        let thread = Builder::new()
            .name("pincow-floor".into())
            .stack_size(STACK_BYTES)
            .spawn(move || shared.run());
        self.thread = Some(thread.map_err(BenchError::system("starting a thread"))?);
        Ok(())
    }

    pub(super) fn mailbox(&self) -> &Mailbox {
        &self.shared.mailbox
    }

    /// The CPU time that its thread has taken.
    pub(super) fn cpu_time(&self) -> Duration {
        self.thread.as_ref().map_or(Duration::ZERO, cpu_time)
    }

    /// When it first came out of the guest.
    pub(super) fn first_exit(&self) -> Option<Instant> {
        self.shared.first_exit.get().copied()
    }

    /// Why it does not answer.
    pub(super) fn failure(&self, error: MailboxError) -> BenchError {
        match &*self.shared.order.lock() {
            Order::Stop(Some(reason)) => BenchError::FloorEnded(reason.clone()),
            _ => error.into(),
        }
    }

    /// The mailbox of a vCPU that is at this command already.
    pub(super) fn take_up(&self, command: Command) -> Result<(), BenchError> {
        self.mailbox().post(command)?;
        let mut code = [0; 8];
        self.mailbox().read(0, &mut code);
        Ok(())
    }

    /// Asks the vCPU to leave the guest. Follow with [`Cpu::wait_parked`].
    pub(super) fn request_park(&self, buffer: CpuState) -> Result<(), BenchError> {
        let mut order = self.shared.order.lock();
        if let Order::Run = *order {
            *order = Order::Park(Box::new(buffer));
            self.kick()?;
        }
        Ok(())
    }

    pub(super) fn wait_parked(&self) -> Result<CpuState, BenchError> {
        let mut order = self.shared.order.lock();
        loop {
            match std::mem::replace(&mut *order, Order::Idle) {
                Order::Parked(buffer) => return Ok(*buffer),
                Order::Stop(reason) => {
                    *order = Order::Stop(reason.clone());
                    return Err(BenchError::FloorEnded(reason.unwrap_or_default()));
                }
                other => *order = other,
            }
            self.shared.changed.wait(&mut order);
        }
    }

    pub(super) fn resume(&self) {
        let mut order = self.shared.order.lock();
        if let Order::Idle = *order {
            self.shared.vcpu.set_immediate_exit(false);
            *order = Order::Run;
            self.shared.changed.notify_all();
        }
    }

    /// The caller holds the order, so that the byte is not cleared for another one.
    fn kick(&self) -> Result<(), BenchError> {
        extern "C" fn ignore(_: i32, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}
        static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
        let signal = SIGRTMIN() + SIGNAL_OFFSET;
        let failed = |errno| {
            BenchError::system("sending a signal")(std::io::Error::from_raw_os_error(errno))
        };
        INSTALLED
            .get_or_init(|| register_signal_handler(signal, ignore).map_err(|e| e.errno()))
            .map_err(failed)?;
        self.shared.vcpu.set_immediate_exit(true);
        if let Some(thread) = &self.thread {
            thread.kill(signal).map_err(|e| failed(e.errno()))?;
        }
        Ok(())
    }
}

impl Drop for Cpu {
    fn drop(&mut self) {
        {
            let mut order = self.shared.order.lock();
            if !matches!(*order, Order::Stop(_)) {
                *order = Order::Stop(None);
            }
            // A thread that cannot be signalled has ended.
            let _ = self.kick();
        }
        self.shared.changed.notify_all();
        self.shared.mailbox.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut guard = self.vcpu.lock();
        let fd: &mut VcpuFd = &mut guard;
        loop {
            let flow = match fd.run() {
                Ok(VcpuExit::MmioRead(address, data)) => {
                    self.first_exit.get_or_init(Instant::now);
                    self.device(address).map(|(device, offset)| device.read(offset, data))
                }
                Ok(VcpuExit::MmioWrite(address, data)) => {
                    self.first_exit.get_or_init(Instant::now);
                    self.device(address).map(|(device, offset)| device.write(offset, data))
                }
                Ok(VcpuExit::Intr) => self.obey(fd),
                Ok(other) => Err(format!("{other:?}")),
                Err(errno) if matches!(errno.errno(), libc::EINTR | libc::EAGAIN) => self.obey(fd),
                Err(errno) => Err(format!("KVM_RUN: {errno}")),
            };
            match flow {
                Ok(Flow::Continue) => {}
                Ok(Flow::Interrupted) => return,
                Ok(flow) => return self.fail(format!("{flow:?}")),
                Err(reason) => return self.fail(reason),
            }
        }
    }

    /// The device at an address, and the register.
    fn device(&self, address: u64) -> Result<(&dyn MmioDevice, u64), String> {
        let base = mailbox(self.vcpu.index() as usize);
        let within = |base, bytes| address.checked_sub(base).filter(|&offset| offset < bytes);
        if let Some(offset) = within(base, MAILBOX_STRIDE) {
            return Ok((&self.mailbox, offset));
        }
        let offset = within(SERIAL_BASE, SERIAL_REGISTERS);
        let offset =
            offset.ok_or_else(|| format!("an access to {address:#x}, where there is no device"))?;
        Ok((&self.serial, offset))
    }

    /// Does as it is asked, outside of the guest; `Interrupted` means to end.
    fn obey(&self, fd: &VcpuFd) -> Result<Flow, String> {
        let mut order = self.order.lock();
        loop {
            match std::mem::replace(&mut *order, Order::Idle) {
                Order::Run => {
                    *order = Order::Run;
                    return Ok(Flow::Continue);
                }
                Order::Stop(reason) => {
                    *order = Order::Stop(reason);
                    return Ok(Flow::Interrupted);
                }
                Order::Park(mut buffer) => {
                    buffer.get(fd).map_err(|error: KvmError| error.to_string())?;
                    *order = Order::Parked(buffer);
                    self.changed.notify_all();
                }
                waiting => *order = waiting,
            }
            self.changed.wait(&mut order);
        }
    }

    fn fail(&self, reason: String) {
        *self.order.lock() = Order::Stop(Some(reason));
        self.changed.notify_all();
        self.mailbox.close();
    }
}
