//! The Linux KVM interface, wrapped as far as pincow needs it.
//!
//! Everything here speaks of host addresses and lengths; what lies behind a guest's memory is
//! nobody's business in this module.
//!
//! | module | idea |
//! | --- | --- |
//! | [`host`] | opening `/dev/kvm`, and what is the same for every guest of this host |
//! | [`vm`] | one virtual machine: memory slots, vCPUs, doorbells |
//! | [`chips`] | its interrupt controllers, timer and clock, where KVM provides them |
//! | [`vcpu`] | one vCPU, and the byte that makes it come back from `KVM_RUN` |
//! | [`state`] | the complete state of a vCPU as plain data |
//!
//! # Facts measured on the development kernel (6.18, nested KVM with shadow paging)
//!
//! - A memory slot set *before* the interrupt controller exists costs 0.06 to 0.6 ms, after it 7 ms.
//! - 40 MSRs set one by one cost 300 us, in one batch 11 us; a batch stops at the first MSR that
//!   is refused and returns its index. So the host is asked once which are refused ([`host`]), and
//!   batches are used from then on.
//! - A doorbell that KVM rings itself (`KVM_IOEVENTFD`) takes 29 to 33 us of the guest's time, where the
//!   same store takes 72 us as an exit: 0.4 to 0.46 of it, in three runs of `pincow doctor`, which
//!   measures both side by side with a thread that waits for the bell. Telling KVM of one takes 1 us.
//! - `KVM_SET_CPUID2` is accepted and ignored: the guest sees the host's CPUID.
//! - `KVM_EXIT_MEMORY_FAULT` is advertised but not delivered: `KVM_RUN` fails with EFAULT and no
//!   address.
//! - After `KVM_EXIT_SHUTDOWN` the registers are still those of the crash; on AMD hardware the vCPU
//!   has been reset by then.

pub mod chips;
mod cpuid;
mod error;
pub mod exit;
pub mod host;
mod lapic;
mod msrs;
pub mod state;
mod tsc;
pub mod vcpu;
pub mod vm;
mod xsave;

pub use chips::ChipsState;
pub use cpuid::Vcpus;
pub use error::{HostError, KvmError, RestoreError};
pub use host::Host;
pub use state::{MsrValue, VcpuState};
pub use vcpu::Vcpu;
pub use vm::Vm;

#[cfg(test)]
pub(crate) mod tests;
