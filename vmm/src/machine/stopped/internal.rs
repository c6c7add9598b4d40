//! What an internal error of KVM means (KVM API documentation, 5, KVM_EXIT_INTERNAL_ERROR), and what
//! to do about it.

/// What KVM says was going on.
fn what(suberror: u32, instruction: &[u8]) -> String {
    match suberror {
        1 if instruction.is_empty() => "it had to emulate an instruction and cannot".to_owned(),
        1 => {
            let bytes: Vec<String> = instruction.iter().map(|b| format!("{b:02x}")).collect();
            format!("it had to emulate an instruction and cannot (bytes {})", bytes.join(" "))
        }
        2 => "two exceptions came at once".to_owned(),
        3 => "an exit came while it delivered an event".to_owned(),
        4 => "the processor left the guest for a reason that it does not know".to_owned(),
        _ => "it does not say why".to_owned(),
    }
}

/// What to do. The code of a kernel is emulated where there is nothing better; that of a program
/// only when it reaches a device.
fn advice(suberror: u32, ring: Option<u8>) -> &'static str {
    match (suberror, ring) {
        (1, Some(3)) => "; reach devices with a plain mov between a register and memory",
        (1, _) => {
            "; a KVM that emulates kernels instead of running them cannot run this guest: use a host \
             whose KVM has EPT or NPT (kvm_intel or kvm_amd on bare metal, or in a virtual machine \
             with hardware nested virtualization), as `pincow doctor` reports it"
        }
        _ => "; the host's kernel log (dmesg) may tell more",
    }
}

/// All of it in words.
pub(super) fn meaning(
    suberror: &u32,
    rip: &Option<u64>,
    ring: &Option<u8>,
    instruction: &[u8],
    data: &[u64],
) -> String {
    let place = rip.map(|rip| format!(" at {rip:#x}")).unwrap_or_default();
    let ring_text = ring.map(|ring| format!(" in ring {ring}")).unwrap_or_default();
    let data_text = match suberror {
        1 => String::new(),
        _ => {
            let words: Vec<String> = data.iter().map(|word| format!("{word:#x}")).collect();
            format!(", data [{}]", words.join(", "))
        }
    };
    let (what, advice) = (what(*suberror, instruction), advice(*suberror, *ring));
    format!("{what}{place}{ring_text} (internal error {suberror}{data_text}){advice}")
}
