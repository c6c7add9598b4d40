use super::*;

/// Saves `machine` and makes another of it, which has its own memory and has not started.
fn clone_of(machine: &Machine) -> (Machine, MachineState, Output) {
    let paused = machine.pause().unwrap();
    let state = paused.save().unwrap();
    let ram = copy_of(machine.ram());
    drop(paused);
    let output = Output::default();
    let clone = Machine::restore(machine.host(), ram, config(0, &output), &state).unwrap();
    (clone, state, output)
}

fn assert_same_machine(now: &MachineState, then: &MachineState) {
    assert_eq!(now.ram_bytes, then.ram_bytes);
    assert_eq!(now.serial, then.serial);
    assert_eq!(now.vcpus.len(), then.vcpus.len());
    for (now, then) in now.vcpus.iter().zip(&then.vcpus) {
        assert_same(&now.state, &then.state);
        assert_eq!(now.mailbox, then.mailbox);
        assert_eq!(now.parked_at, then.parked_at);
    }
}

#[test]
fn a_copy_has_the_same_state_and_answers_for_itself() {
    let Some(host) = host() else { return };
    let (parent, parent_output) = running(&host, 2);
    call(&parent, 0, Command::Puts);
    let printed = parent_output.text().lines().count();
    let (child, state, output) = clone_of(&parent);
    assert_same_machine(&child.pause().unwrap().save().unwrap(), &state);
    child.start().unwrap();
    assert_eq!(call(&child, 0, Command::Puts)[0], 2);
    assert_eq!(call(&child, 1, Command::Ping)[0], PONG);
    assert_eq!(call(&parent, 0, Command::Puts)[0], 2);
    assert_eq!(parent_output.text().lines().count(), printed + 1);
    assert_eq!(output.text().lines().count(), 1);
}

#[test]
fn a_guest_copied_in_the_middle_goes_on_on_both_sides() {
    let Some(host) = host() else { return };
    let (mut parent, _) = running(&host, 2);
    parent.mailbox(0).unwrap().post(churn(0)).unwrap();
    parent.mailbox(1).unwrap().post(churn(1)).unwrap();
    for generation in 0..8 {
        for vcpu in 0..2 {
            wait_for_progress(&parent, vcpu, progress(&parent, vcpu) + 70);
        }
        let (child, state, _) = clone_of(&parent);
        assert_same_machine(&child.pause().unwrap().save().unwrap(), &state);
        let at_fork = progress(&child, 0);
        child.start().unwrap();
        wait_for_progress(&child, 0, at_fork + 70);
        for vcpu in 0..2 {
            let outcome = end_churn(&parent, vcpu);
            assert_eq!(outcome.mismatches, 0, "generation {generation}, vCPU {vcpu}");
        }
        parent = child;
    }
    assert_eq!(end_churn(&parent, 0).mismatches, 0);
}

#[test]
fn state_survives_a_file() {
    let Some(host) = host() else { return };
    let (machine, _) = running(&host, 1);
    let state = machine.pause().unwrap().save().unwrap();
    let text = serde_json::to_vec(&state).unwrap();
    let read: MachineState = serde_json::from_slice(&text).unwrap();
    assert_eq!(read, state);
}

#[test]
fn a_state_for_another_machine_is_refused() {
    let Some(host) = host() else { return };
    let (machine, _) = boot(&host, 1, PAYLOAD);
    let good = machine.pause().unwrap().save().unwrap();
    let refusal = |state: &MachineState| {
        Machine::restore(&host, ram(), MachineConfig::default(), state).err().unwrap().to_string()
    };
    let version = MachineState { version: 9, ..good.clone() };
    assert!(refusal(&version).contains("version 9"));
    let ram_bytes = MachineState { ram_bytes: 4096, ..good.clone() };
    assert!(refusal(&ram_bytes).contains("0x1000 bytes of RAM, 0x1000000 are given"));
    let none = MachineState { vcpus: vec![], ..good.clone() };
    assert!(refusal(&none).contains("0 vCPUs"));
    let mut too_many = good.clone();
    too_many.vcpus = vec![good.vcpus[0].clone(); 33];
    assert!(refusal(&too_many).contains("33 vCPUs"));
    let mut msr = good.clone();
    msr.vcpus[0].state.msrs[0].index = 0xdead_beef;
    assert!(refusal(&msr).contains("vCPU 0"), "{}", refusal(&msr));
    let mut serial = good;
    serial.serial.received = vec![0; 100];
    assert!(refusal(&serial).contains("100 received bytes"));
}
