//! How far a vCPU's time stamp counter is from the host's (KVM documentation, devices/vcpu.rst,
//! KVM_VCPU_TSC_CTRL; Linux 5.16).
//!
//! A counter that is written as a value stands still from when it was read to when it is written, and
//! those of several vCPUs end up apart. One with the same distance to the host's goes on as if nothing
//! had happened.

#![expect(unsafe_code, reason = "vCPU attributes are read and written through an address")]

use kvm_bindings::{KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, kvm_device_attr};
use kvm_ioctls::VcpuFd;
use vmm_sys_util::errno;
use vmm_sys_util::ioctl::ioctl_with_ref;
use vmm_sys_util::ioctl_iow_nr;

ioctl_iow_nr!(KVM_SET_DEVICE_ATTR, kvm_bindings::KVMIO, 0xe1, kvm_device_attr);
ioctl_iow_nr!(KVM_GET_DEVICE_ATTR, kvm_bindings::KVMIO, 0xe2, kvm_device_attr);

fn attribute(value: *mut u64) -> kvm_device_attr {
    kvm_device_attr {
        flags: 0,
        group: KVM_VCPU_TSC_CTRL,
        attr: u64::from(KVM_VCPU_TSC_OFFSET),
        addr: value as u64,
    }
}

/// The distance; `None` on a host that does not tell it.
pub(super) fn offset(fd: &VcpuFd) -> Option<u64> {
    let mut value = 0_u64;
    let attribute = attribute(&raw mut value);
    // SAFETY: the descriptor is a vCPU's; the kernel writes 8 bytes to `value`, which lives longer
    // than the call, and nothing else.
    let result = unsafe { ioctl_with_ref(fd, KVM_GET_DEVICE_ATTR(), &attribute) };
    (result == 0).then_some(value)
}

/// Sets the distance.
pub(super) fn set_offset(fd: &VcpuFd, mut value: u64) -> Result<(), errno::Error> {
    let attribute = attribute(&raw mut value);
    // SAFETY: the descriptor is a vCPU's; the kernel reads 8 bytes of `value`, which lives longer than
    // the call.
    match unsafe { ioctl_with_ref(fd, KVM_SET_DEVICE_ATTR(), &attribute) } {
        0 => Ok(()),
        _ => Err(errno::Error::last()),
    }
}
