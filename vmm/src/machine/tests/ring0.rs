use super::*;
use crate::boot::linux::Linux;
use crate::machine::ring0::check;

/// On a host that runs kernels there is nothing to say. On one that emulates them, it is said which
/// instruction is missing and which host would do.
#[test]
fn a_host_runs_kernels_or_says_why_not() {
    let Some(host) = host() else { return };
    match check(&host) {
        Ok(()) => println!("this host runs kernels"),
        Err(error) => {
            let text = error.to_string();
            let MachineError::Ring0 { stopped } = error else { panic!("{text}") };
            let Stopped::InternalError { suberror: 1, ring: Some(0), instruction, .. } = stopped
            else {
                panic!("{text}")
            };
            assert!(instruction.starts_with(&[0xf3, 0x0f, 0xb8, 0xc3]), "{text}");
            assert!(text.contains("EPT or NPT"), "{text}");
        }
    }
}

/// What is wrong with a file is said on every host.
#[test]
fn a_file_that_is_no_kernel_is_told_first() {
    let Some(host) = host() else { return };
    let linux = Linux { kernel: b"#!/bin/sh\n".to_vec(), ..Default::default() };
    let refused =
        Machine::boot_linux(&host, ram(), MachineConfig::default(), &linux).err().unwrap();
    assert!(matches!(refused, MachineError::Linux(_)), "{refused}");
}
