//! What can go wrong between pincow and KVM, each with what to do about it.

use thiserror::Error;
use vmm_sys_util::errno;

/// A KVM call that failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{call} failed: {errno}")]
pub struct KvmError {
    /// Name of the system call, as the KVM API documentation writes it.
    pub call: &'static str,
    /// What the kernel answered.
    pub errno: errno::Error,
}

impl KvmError {
    /// An adapter for `map_err` that remembers which call it was.
    pub(crate) fn of(call: &'static str) -> impl Fn(errno::Error) -> KvmError {
        move |errno| KvmError { call, errno }
    }
}

/// Why this host cannot run guests.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HostError {
    /// The device file does not exist.
    #[error(
        "{path} does not exist, so KVM is not available: enable virtualization in the firmware (or \
         nested virtualization in the outer machine) and run: sudo modprobe kvm_amd || sudo \
         modprobe kvm_intel"
    )]
    NoDevice {
        /// The device file that was tried.
        path: String,
    },
    /// The device file may not be opened by this user.
    #[error("{path} may not be opened by this user ({owner}): run: {command}")]
    NoPermission {
        /// The device file that was tried.
        path: String,
        /// Mode and group of the file, in words.
        owner: String,
        /// The one command that grants access.
        command: String,
    },
    /// Opening failed for another reason.
    #[error("{path} cannot be opened: {errno}")]
    Open {
        /// The device file that was tried.
        path: String,
        /// What the kernel answered.
        errno: errno::Error,
    },
    /// The device is not a KVM that this program can speak to.
    #[error("{path} speaks KVM API version {found}, pincow needs 12: use a Linux kernel >= 5.7")]
    ApiVersion {
        /// The device file that was tried.
        path: String,
        /// The version it gave; -1 when it is no KVM device at all.
        found: i32,
    },
    /// A feature of KVM is missing.
    #[error("this KVM lacks {capability}, which came with Linux {since}: use a newer kernel")]
    MissingCapability {
        /// Name of the capability in the KVM API documentation.
        capability: &'static str,
        /// The first kernel that has it.
        since: &'static str,
    },
    /// Asking for what the host supports failed.
    #[error("asking KVM what it supports: {0}")]
    Probe(#[from] KvmError),
}

/// Why a saved vCPU state was not made live.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// The state was written by another version of pincow.
    #[error("vCPU state has version {found}, this pincow reads {supported}: save it again")]
    Version {
        /// Version in the state.
        found: u32,
        /// The only version understood.
        supported: u32,
    },
    /// The XSAVE area is not as long as this host's.
    #[error(
        "vCPU state has an XSAVE area of {found} bytes, this host uses {expected}: restore it on \
         a host with the same CPU features"
    )]
    XsaveLength {
        /// Bytes in the state.
        found: usize,
        /// Bytes that this host's KVM reads.
        expected: usize,
    },
    /// The state sets an MSR that is not part of a vCPU's state on this host.
    #[error(
        "vCPU state sets MSR {index:#x}, which is not guest state on this host: restore it on the \
         kind of host that saved it"
    )]
    UnknownMsr {
        /// The MSR.
        index: u32,
    },
    /// KVM refused the value of an MSR.
    #[error("KVM refused the value {value:#x} for MSR {index:#x} of the vCPU state")]
    MsrRefused {
        /// The MSR.
        index: u32,
        /// The value that was refused.
        value: u64,
    },
    /// KVM refused a part of the state.
    #[error("KVM refused the {part} of the vCPU state: {source}")]
    Refused {
        /// Which part, in words.
        part: &'static str,
        /// The call that failed.
        source: KvmError,
    },
}
