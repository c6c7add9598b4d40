use super::*;

fn internal(suberror: u32, ring: u8, instruction: &[u8], data: &[u64]) -> String {
    Stopped::InternalError {
        vcpu: 2,
        suberror,
        rip: Some(0x1000),
        ring: Some(ring),
        instruction: instruction.to_vec(),
        data: data.to_vec(),
    }
    .to_string()
}

#[test]
fn a_kernel_that_is_emulated_needs_another_host() {
    let text = internal(1, 0, &[0xf3, 0x0f, 0xb8, 0xc3], &[1, 2, 3]);
    let begin = "KVM cannot run vCPU 2 any further: it had to emulate an instruction and cannot \
                 (bytes f3 0f b8 c3) at 0x1000 in ring 0 (internal error 1); ";
    assert!(text.starts_with(begin), "{text}");
    assert!(text.contains("EPT or NPT") && text.contains("pincow doctor"), "{text}");
}

#[test]
fn a_program_is_told_how_to_reach_devices() {
    let text = internal(1, 3, &[], &[]);
    assert!(text.contains("in ring 3") && text.contains("plain mov"), "{text}");
    assert!(!text.contains("EPT"), "{text}");
}

#[test]
fn other_errors_are_told_with_their_data() {
    assert!(internal(3, 0, &[], &[0x80, 7]).contains("(internal error 3, data [0x80, 0x7])"));
    for suberror in [0, 2, 4, 99] {
        assert!(internal(suberror, 0, &[], &[]).contains("dmesg"), "{suberror}");
    }
}
