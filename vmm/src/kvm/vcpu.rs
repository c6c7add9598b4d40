//! One vCPU, and the byte that makes it come back from `KVM_RUN`.
//!
//! The thread that runs the vCPU holds the lock on its descriptor for as long as it runs, and gives
//! it up when it parks. Whoever paused the machine then reads or writes the state directly, on its
//! own thread, and needs no hand-off (60 us on the development machines).
//!
//! # Coming back from the guest
//!
//! ```text
//! kicker                          vCPU thread
//! request = Park                  request? no
//! immediate_exit = 1              |
//! signal ------------------.      KVM_RUN: immediate_exit? yes -> EINTR      (kick came before)
//!                          '----> KVM_RUN in the guest: signal -> EINTR      (kick came after)
//! ```
//!
//! One of the two always happens, because the kernel looks at `immediate_exit` after it has marked
//! the thread as running (KVM API documentation, 5, `immediate_exit`). Entering with
//! `immediate_exit` set also completes an exit that userspace has serviced, without running the
//! guest any further.

#![expect(unsafe_code, reason = "immediate_exit is a byte in memory shared with the kernel")]

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering};

use kvm_ioctls::VcpuFd;
use parking_lot::{Mutex, MutexGuard};

/// A vCPU that one thread runs and others can call back.
#[derive(Debug)]
pub struct Vcpu {
    fd: Mutex<VcpuFd>,
    immediate_exit: NonNull<AtomicU8>,
    index: u32,
}

// SAFETY: `immediate_exit` points into the `kvm_run` page that `fd` maps and unmaps on drop, so it
// is valid for as long as `self`; it is only ever used as an atomic, from any thread.
unsafe impl Send for Vcpu {}
// SAFETY: as for `Send`; everything else is behind the mutex.
unsafe impl Sync for Vcpu {}

impl Vcpu {
    pub(super) fn new(mut fd: VcpuFd, index: u32) -> Vcpu {
        let immediate_exit = NonNull::from(&mut fd.get_kvm_run().immediate_exit).cast();
        Vcpu { fd: Mutex::new(fd), immediate_exit, index }
    }

    /// The vCPU's number within its guest, from 0.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The descriptor, for the thread that runs the vCPU, or for whoever has parked it.
    ///
    /// Blocks while the vCPU runs.
    pub fn lock(&self) -> MutexGuard<'_, VcpuFd> {
        self.fd.lock()
    }

    /// Tells the guest, at its next entry, that it stood still, so that its watchdog does not take that for a
    /// lockup. A guest that does not use KVM's clock has nothing that could be told.
    pub fn tell_that_it_stood_still(&self) {
        let _ = self.fd.lock().kvmclock_ctrl();
    }

    /// Makes the next `KVM_RUN` return EINTR as soon as a pending exit is completed.
    pub fn set_immediate_exit(&self, on: bool) {
        // SAFETY: the pointer is into the `kvm_run` mapping, which lives as long as `self.fd`. The
        // byte is shared with the kernel and other threads, and only touched atomically; no code of
        // ours or of kvm-ioctls that runs beside this reads or writes that byte of the structure.
        unsafe { self.immediate_exit.as_ref() }.store(u8::from(on), Ordering::SeqCst);
    }
}
