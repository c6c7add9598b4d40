use super::*;

fn every_command() -> Vec<Command> {
    let args = [11, 12, 13, 14];
    let all: Vec<Command> =
        (0..100).filter_map(|code| Command::decode(code, |n| args[n])).collect();
    assert_eq!(all.len(), 33);
    all
}

#[test]
fn a_command_survives_the_mailbox() {
    for command in every_command() {
        assert_ne!(command.code(), NO_COMMAND);
        let args = command.args();
        assert_eq!(Command::decode(command.code(), |n| args[n]), Some(command));
    }
}

#[test]
fn the_shape_of_runs_is_one_argument() {
    let runs = Command::TouchRuns { first: 1, pages: 9, run: 3, stride: u32::MAX, value: 4 };
    assert_eq!(runs.args(), [1, 9, 0x3_ffff_ffff, 4]);
    assert_eq!(Command::decode(runs.code(), |n| runs.args()[n]), Some(runs));
}

#[test]
fn decoding_reads_only_the_arguments_that_there_are() {
    for command in every_command() {
        let mut asked = 0;
        let decoded = Command::decode(command.code(), |n| {
            asked += 1;
            command.args()[n]
        });
        let has = command.args().iter().filter(|arg| **arg != 0).count();
        assert_eq!((decoded, asked), (Some(command), has));
    }
}
