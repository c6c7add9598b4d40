use super::*;

#[test]
fn an_idle_guest_is_parked_in_its_mailbox() {
    let Some(host) = host() else { return };
    let (machine, _) = running(&host, 2);
    for _ in 0..50 {
        drop(machine.pause().unwrap());
        assert_eq!(call(&machine, 1, Command::Ping)[0], PONG);
    }
    while machine.pause().unwrap().parked_at() != [ParkedAt::Blocked; 2] {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_busy_guest_is_parked_in_its_code_and_stands_still() {
    let Some(host) = host() else { return };
    let (machine, _) = running(&host, 1);
    machine.mailbox(0).unwrap().post(churn(0)).unwrap();
    wait_for_progress(&machine, 0, 0);
    let mut mid_run = 0;
    for _ in 0..200 {
        let paused = machine.pause().unwrap();
        mid_run += usize::from(paused.parked_at() == [ParkedAt::MidRun]);
        let (before, state) = (progress(&machine, 0), paused.save().unwrap());
        std::thread::sleep(Duration::from_micros(100));
        assert_eq!(progress(&machine, 0), before);
        assert_same(&paused.save().unwrap().vcpus[0].state, &state.vcpus[0].state);
        drop(paused);
        wait_for_progress(&machine, 0, before);
    }
    assert!(mid_run > 150, "{mid_run} of 200 pauses were in the middle of the code");
    println!("mid run: {mid_run} of 200");
    assert_eq!(end_churn(&machine, 0).mismatches, 0);
}

#[test]
fn pausing_as_fast_as_possible_loses_nothing() {
    let Some(host) = host() else { return };
    let (machine, _) = running(&host, 3);
    machine.mailbox(0).unwrap().post(churn(0)).unwrap();
    machine.mailbox(1).unwrap().post(churn(1)).unwrap();
    for round in 0..500 {
        drop(machine.pause().unwrap());
        if round % 10 == 0 {
            assert_eq!(call(&machine, 2, Command::Ping)[0], PONG);
        }
    }
    assert_eq!(end_churn(&machine, 0).mismatches, 0);
    assert_eq!(end_churn(&machine, 1).mismatches, 0);
}

#[test]
fn a_machine_that_was_not_started_stays_so() {
    let Some(host) = host() else { return };
    let (machine, _) = boot(&host, 2, PAYLOAD);
    let first = machine.pause().unwrap().save().unwrap();
    let second = machine.pause().unwrap().save().unwrap();
    assert_same(&second.vcpus[1].state, &first.vcpus[1].state);
    assert_eq!(machine.wait_timeout(Duration::from_millis(10)), None);
    machine.start().unwrap();
    assert_eq!(call(&machine, 1, Command::Ping)[0], PONG);
}

#[test]
fn a_paused_machine_can_be_stopped() {
    let Some(host) = host() else { return };
    let (machine, _) = running(&host, 2);
    let paused = machine.pause().unwrap();
    assert_eq!(machine.stop(), Stopped::Killed);
    drop(paused);
    assert!(machine.pause().is_err());
}

#[test]
fn commands_posted_while_paused_are_done_afterwards() {
    let Some(host) = host() else { return };
    let (machine, _) = running(&host, 1);
    let paused = machine.pause().unwrap();
    machine.mailbox(0).unwrap().post(Command::Ping).unwrap();
    let none = machine.mailbox(0).unwrap().wait_reply(Duration::from_millis(10));
    assert!(none.is_err());
    drop(paused);
    assert_eq!(machine.mailbox(0).unwrap().wait_reply(LONG).unwrap().values[0], PONG);
}

#[test]
fn a_suspended_machine_stands_still_until_it_is_started_and_pauses_do_not_change_that() {
    let Some(host) = host() else { return };
    let (machine, _) = running(&host, 2);
    machine.mailbox(0).unwrap().post(churn(0)).unwrap();
    wait_for_progress(&machine, 0, 0);
    machine.suspend().unwrap();
    machine.suspend().unwrap();
    let before = progress(&machine, 0);
    drop(machine.pause().unwrap());
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(progress(&machine, 0), before);
    machine.start().unwrap();
    wait_for_progress(&machine, 0, before);
    assert_eq!(end_churn(&machine, 0).mismatches, 0);
    machine.suspend().unwrap();
    assert_eq!(machine.stop(), Stopped::Killed);
    assert!(machine.suspend().is_err());
}
