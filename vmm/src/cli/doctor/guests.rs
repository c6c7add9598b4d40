//! Which guests this host can run.

use serde::Serialize;

use super::kvm::KvmReport;
use super::probe_guest::Ring0;

#[cfg(test)]
mod tests;

/// A kind of guest, and whether it can run here.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Answer {
    /// Which guests.
    pub(super) guests: &'static str,
    /// They can run.
    pub(super) works: bool,
    /// Why, or why not and what to do.
    pub(super) why: String,
}

const PAYLOADS: &str = "payloads in ring 3";
const KERNELS: &str = "Linux and other kernels";

/// What has a KVM that runs kernels.
const OTHER_HOST: &str = "use a machine whose CPU runs guests itself (Intel VT-x with EPT, AMD-V with \
     NPT): bare metal, or a virtual machine with nested virtualization turned on. For development, \
     tests/npt emulates such a host";

/// The answers, from what KVM said and what the guests did that asked.
pub(super) fn of(kvm: &KvmReport) -> Vec<Answer> {
    answers(kvm.ring0.as_ref(), kvm.exit_us.is_some())
}

fn answers(ring0: Option<&Ring0>, ring3: bool) -> Vec<Answer> {
    let Some(ring0) = ring0 else {
        let why = || "without KVM, there are no guests: see above".to_owned();
        return [PAYLOADS, KERNELS]
            .map(|guests| Answer { guests, works: false, why: why() })
            .into();
    };
    let payloads = match ring3 {
        true => "such as the embedded one, and your own (guest/README.md)".to_owned(),
        false => "a loop of two instructions did not run: see the kernel's log (dmesg)".to_owned(),
    };
    let kernels = match ring0 {
        Ring0::Works => "privileged code (ring 0) runs as on a bare machine".to_owned(),
        Ring0::Refused(what) => format!(
            "this KVM emulates privileged code (ring 0) and lacks instructions that every kernel \
             has: it gave up at {what}. To run kernels, {OTHER_HOST}"
        ),
        Ring0::Hangs => format!(
            "a guest that ran privileged code (ring 0) never came back. To run kernels, {OTHER_HOST}"
        ),
    };
    vec![
        Answer { guests: PAYLOADS, works: ring3, why: payloads },
        Answer { guests: KERNELS, works: *ring0 == Ring0::Works, why: kernels },
    ]
}
