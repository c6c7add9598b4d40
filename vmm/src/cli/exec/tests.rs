//! Exit statuses, and variables as people write them.

use pincow_guest_agent::frame::FrameError;
use pincow_guest_agent::message::Refusal;

use super::*;

#[test]
fn the_exit_status_is_the_commands_or_says_why_there_is_none() {
    let refused = |reason| {
        let refusal = Refusal { reason, message: String::new() };
        Err(Failure::Agent(ClientError::Refused(refusal)))
    };
    for (ended, expected) in [
        (Ok(Ended::Exited(0)), 0),
        (Ok(Ended::Exited(255)), 255),
        (Ok(Ended::Killed(9)), 137),
        (Ok(Ended::Killed(64)), 192),
        (Ok(Ended::Killed(255)), 255),
        (refused(Reason::NoProgram), 127),
        (refused(Reason::NotRunnable), 126),
        (refused(Reason::Failed), 125),
        (refused(Reason::Request), 125),
        (Err(ClientError::Frame(FrameError::Ended).into()), 125),
        (Err(Failure::Other("no guest".to_owned())), 125),
    ] {
        assert_eq!(status(&ended), expected, "{ended:?}");
    }
}

#[test]
fn variables_have_a_name() {
    assert_eq!(variable("A=b=c"), Ok(("A".into(), "b=c".into())));
    assert_eq!(variable("A="), Ok(("A".into(), String::new())));
    assert!(variable("A").is_err() && variable("=b").is_err());
}
