//! Opening KVM, and what is the same for every guest on this host.
//!
//! CPUID, the list of MSRs that make up a vCPU's state, and the size of the XSAVE area are found
//! once, in [`Host::open`], so that creating and restoring a guest asks for nothing twice.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

use kvm_bindings::{CpuId, kvm_xsave};
use kvm_ioctls::{Cap, Kvm};

use super::error::{HostError, KvmError};
use super::{cpuid, msrs};

/// The KVM API version that every kernel since 2.6.22 speaks (KVM API documentation, 4.1).
const API_VERSION: i32 = 12;

/// Everything a guest is built on; without one of these, it could not be run or saved.
const REQUIRED: [(Cap, &str, &str); 8] = [
    (Cap::UserMemory, "KVM_CAP_USER_MEMORY", "2.6.26"),
    (Cap::ExtCpuid, "KVM_CAP_EXT_CPUID", "2.6.26"),
    (Cap::MpState, "KVM_CAP_MP_STATE", "2.6.26"),
    (Cap::VcpuEvents, "KVM_CAP_VCPU_EVENTS", "2.6.33"),
    (Cap::Debugregs, "KVM_CAP_DEBUGREGS", "2.6.34"),
    (Cap::Xsave, "KVM_CAP_XSAVE", "2.6.36"),
    (Cap::Xcrs, "KVM_CAP_XCRS", "2.6.36"),
    (Cap::ImmediateExit, "KVM_CAP_IMMEDIATE_EXIT", "4.11"),
];

/// An open KVM, with what all guests of this host have in common.
#[derive(Debug)]
pub struct Host {
    kvm: Kvm,
    cpuid: CpuId,
    msrs: msrs::MsrSet,
    msrs_with_lapic: OnceLock<msrs::MsrSet>,
    xsave_len_bytes: usize,
    max_vcpus: u32,
    ioeventfd: bool,
}

impl Host {
    /// Opens `/dev/kvm` and finds out what it offers. Takes about 2 ms, for a scratch guest that
    /// tells which MSRs can be saved.
    ///
    /// # Errors
    ///
    /// [`HostError`], each with what to do.
    pub fn open() -> Result<Host, HostError> {
        Host::open_at(Path::new("/dev/kvm"))
    }

    /// As [`Host::open`], with another device file.
    ///
    /// # Errors
    ///
    /// [`HostError`], each with what to do.
    pub fn open_at(device: &Path) -> Result<Host, HostError> {
        let kvm = open_device(device)?;
        let found = kvm.get_api_version();
        if found != API_VERSION {
            return Err(HostError::ApiVersion { path: device.display().to_string(), found });
        }
        for (cap, capability, since) in REQUIRED {
            if !kvm.check_extension(cap) {
                return Err(HostError::MissingCapability { capability, since });
            }
        }
        let cpuid = cpuid::supported(&kvm)?;
        let msrs = msrs::MsrSet::probe(&kvm, &cpuid, false)?;
        let xsave2_len_bytes = kvm.check_extension_int(Cap::Xsave2).max(0) as usize;
        let xsave_len_bytes = xsave2_len_bytes.max(size_of::<kvm_xsave>());
        let max_vcpus = u32::try_from(kvm.get_max_vcpus()).unwrap_or(u32::MAX);
        let ioeventfd = kvm.check_extension(Cap::Ioeventfd);
        let msrs_with_lapic = OnceLock::new();
        Ok(Host { kvm, cpuid, msrs, msrs_with_lapic, xsave_len_bytes, max_vcpus, ioeventfd })
    }

    /// The underlying KVM handle.
    pub fn kvm(&self) -> &Kvm {
        &self.kvm
    }

    /// The CPUID that guests get, without what pincow cannot save.
    pub fn cpuid(&self) -> &CpuId {
        &self.cpuid
    }

    /// The MSRs that are part of a vCPU's state here.
    pub fn saved_msrs(&self) -> &[u32] {
        self.msrs.saved()
    }

    /// The MSRs that KVM lists as state but will not give or take back without an in-kernel
    /// interrupt controller.
    pub fn refused_msrs(&self) -> &[u32] {
        self.msrs.refused()
    }

    /// Size of a vCPU's XSAVE area in bytes.
    pub fn xsave_len_bytes(&self) -> usize {
        self.xsave_len_bytes
    }

    /// Whether the timer of KVM's local APIC has a deadline mode.
    pub fn has_tsc_deadline(&self) -> bool {
        self.kvm.check_extension(Cap::TscDeadlineTimer)
    }

    /// The most vCPUs that one guest can have.
    pub fn max_vcpus(&self) -> u32 {
        self.max_vcpus
    }

    /// Whether doorbells of devices are served in the kernel (KVM_CAP_IOEVENTFD, Linux 2.6.32). Where
    /// they are not, each is an exit, and all works as well.
    pub fn has_ioeventfd(&self) -> bool {
        self.ioeventfd
    }

    /// The same host, without that: for comparisons, and for tests of hosts that lack it.
    #[must_use]
    pub fn without_ioeventfd(self) -> Host {
        Host { ioeventfd: false, ..self }
    }

    /// The MSRs of a vCPU, which are more when KVM provides its local APIC. Those are found when they
    /// are first asked for.
    pub(super) fn msr_set(&self, lapic: bool) -> Result<&msrs::MsrSet, KvmError> {
        if !lapic {
            return Ok(&self.msrs);
        }
        if let Some(found) = self.msrs_with_lapic.get() {
            return Ok(found);
        }
        let found = msrs::MsrSet::probe(&self.kvm, &self.cpuid, true)?;
        Ok(self.msrs_with_lapic.get_or_init(|| found))
    }
}

fn open_device(device: &Path) -> Result<Kvm, HostError> {
    let path = device.display().to_string();
    let Ok(c_path) = CString::new(path.clone()) else {
        return Err(HostError::NoDevice { path });
    };
    Kvm::new_with_path(&c_path).map_err(|errno| match errno.errno() {
        libc::ENOENT | libc::ENODEV | libc::ENXIO | libc::ENOTDIR => HostError::NoDevice { path },
        libc::EACCES | libc::EPERM => no_permission(device, path),
        _ => HostError::Open { path, errno },
    })
}

/// Names the permission that is missing and the command that grants it.
pub(super) fn no_permission(device: &Path, path: String) -> HostError {
    let Ok(meta) = fs::metadata(device) else {
        let command = format!("sudo chmod o+rw {path}");
        return HostError::NoPermission { path, owner: "its folder is closed".into(), command };
    };
    let group = group_name(meta.gid());
    let owner = format!("mode {:04o}, group {group}", meta.mode() & 0o7777);
    let group_may = meta.mode() & 0o060 == 0o060 && meta.gid() != 0;
    let command = if group_may {
        format!("sudo usermod -aG {group} \"$USER\"   (and log in again)")
    } else {
        format!("sudo chmod o+rw {path}")
    };
    HostError::NoPermission { path, owner, command }
}

fn group_name(gid: u32) -> String {
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let named = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(gid)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| gid.to_string())
}
