//! Machines on the real KVM, with the embedded payload and with code of a few bytes.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pincow_guest_protocol::command::PONG;
use pincow_guest_protocol::devices::REPORT_READY;
use pincow_guest_protocol::map::{TABLE_FIRST_PAGE, control_page};
use pincow_guest_protocol::{Command, Outcome, Status, control};
use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::boot::tests::{code, elf};
use crate::kvm::tests::{assert_same, host};
use crate::payload::PAYLOAD;

mod crash;
mod doorbells;
mod hostile;
mod pause;
mod restore;
mod ring0;

const LONG: Duration = Duration::from_secs(60);
const RAM_BYTES: usize = 16 << 20;

/// Serial output that the test reads too.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }
}

impl Write for Output {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn ram() -> GuestRam {
    GuestRam::anonymous(RAM_BYTES).unwrap()
}

/// RAM with the same content, which only a paused machine has for certain.
fn copy_of(ram: &GuestRam) -> GuestRam {
    let copy = GuestRam::anonymous(ram.len_bytes()).unwrap();
    let mut bytes = vec![0; ram.len_bytes()];
    ram.memory().read_slice(&mut bytes, GuestAddress(0)).unwrap();
    copy.memory().write_slice(&bytes, GuestAddress(0)).unwrap();
    copy
}

fn config(vcpus: u32, output: &Output) -> MachineConfig {
    MachineConfig { vcpus, serial: Box::new(output.clone()), ..Default::default() }
}

fn boot(host: &Arc<Host>, vcpus: u32, payload: &[u8]) -> (Machine, Output) {
    let output = Output::default();
    let machine = Machine::boot(host, ram(), config(vcpus, &output), payload).unwrap();
    (machine, output)
}

/// The embedded payload, running and ready.
fn running(host: &Arc<Host>, vcpus: u32) -> (Machine, Output) {
    let (machine, output) = boot(host, vcpus, PAYLOAD);
    machine.start().unwrap();
    for vcpu in 0..vcpus {
        assert_eq!(machine.mailbox(vcpu).unwrap().wait_report(LONG), Ok(REPORT_READY));
    }
    (machine, output)
}

fn call(machine: &Machine, vcpu: u32, command: Command) -> [u64; 4] {
    let reply = machine.mailbox(vcpu).unwrap().call(command, LONG).unwrap();
    assert_eq!(reply.status(), Some(Status::Ok), "{command:?}");
    reply.values
}

/// Each vCPU has 64 pages of its own.
fn churn(vcpu: u32) -> Command {
    let first = TABLE_FIRST_PAGE + u64::from(vcpu) * 64;
    Command::Churn { first, pages: 64, seed: 77 + u64::from(vcpu), limit: 0 }
}

/// Ends a running churn and returns what it says.
fn end_churn(machine: &Machine, vcpu: u32) -> Outcome {
    let stop = control_page(vcpu as usize) + control::offset(control::STOP);
    machine.ram().memory().write_obj(1_u64, GuestAddress(stop)).unwrap();
    let reply = machine.mailbox(vcpu).unwrap().wait_reply(LONG).unwrap();
    assert_eq!(reply.status(), Some(Status::Ok));
    Outcome::from_values(reply.values)
}

/// How many pages the churn of a vCPU has written.
fn progress(machine: &Machine, vcpu: u32) -> u64 {
    let word = control_page(vcpu as usize) + control::offset(control::SEQUENCE);
    machine.ram().memory().read_obj(GuestAddress(word)).unwrap()
}

fn wait_for_progress(machine: &Machine, vcpu: u32, beyond: u64) {
    while progress(machine, vcpu) <= beyond {
        assert_eq!(machine.ended(), None);
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn the_embedded_payload_answers_and_ends() {
    let Some(host) = host() else { return };
    let (machine, output) = running(&host, 1);
    assert_eq!(call(&machine, 0, Command::Ping)[0], PONG);
    assert_eq!(call(&machine, 0, Command::Puts)[0], 1);
    assert!(!output.text().is_empty());
    machine.mailbox(0).unwrap().post(Command::Exit { code: 42 }).unwrap();
    assert_eq!(machine.wait(), Stopped::Exit { vcpu: 0, code: 42 });
    assert!(matches!(machine.start(), Err(MachineError::Stopped { .. })));
    assert!(machine.pause().is_err());
}

#[test]
fn several_vcpus_work_at_once() {
    let Some(host) = host() else { return };
    let (machine, _) = running(&host, 4);
    for vcpu in 0..4 {
        machine.mailbox(vcpu).unwrap().post(churn(vcpu)).unwrap();
    }
    for vcpu in 0..4 {
        wait_for_progress(&machine, vcpu, 200);
    }
    for vcpu in 0..4 {
        let outcome = end_churn(&machine, vcpu);
        assert_eq!(outcome.mismatches, 0, "vCPU {vcpu}");
        assert!(outcome.rounds >= 3);
    }
}

#[test]
fn nothing_is_left_of_a_dropped_machine() {
    let Some(host) = host() else { return };
    let (machine, _) = running(&host, 2);
    machine.mailbox(0).unwrap().post(churn(0)).unwrap();
    let shared = Arc::downgrade(&machine.shared);
    drop(machine);
    assert_eq!(shared.strong_count(), 0, "a thread still holds the machine");
    let (never_started, _) = boot(&host, 1, PAYLOAD);
    drop(never_started);
}
