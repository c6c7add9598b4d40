//! What may happen, drawn at random.

use proptest::prelude::*;

use crate::rules::{Direction, Duration};

/// One operation. Numbers choose among what lives, whatever that is by then.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    Write { space: u8, page: u8 },
    Read { space: u8, page: u8 },
    Fork { space: u8 },
    Snapshot { space: u8 },
    Spawn { image: u8 },
    DropSpace { space: u8 },
    DropImage { image: u8 },
    Pin { space: u8, page: u8, direction: Direction, duration: Duration },
    Unpin { pin: u8 },
    DmaWrite { pin: u8 },
    DmaRead { pin: u8 },
    WriteProtect { space: u8, page: u8 },
    Evict { space: u8, page: u8 },
    Discard { space: u8, page: u8 },
    Hold { space: u8, page: u8 },
    Release { hold: u8 },
    Prefault { space: u8, first: u8, last: u8 },
}

fn action() -> impl Strategy<Value = Action> {
    // Few pages most of the time, so that several things happen to one.
    let (a, b) = (any::<u8>, || prop_oneof![2 => 0..3_u8, 1 => any::<u8>()]);
    let direction = prop_oneof![Just(Direction::FromDevice), Just(Direction::ToDevice)];
    let duration = prop_oneof![Just(Duration::Short), Just(Duration::Long)];
    prop_oneof![
        8 => (a(), b()).prop_map(|(space, page)| Action::Write { space, page }),
        4 => (a(), b()).prop_map(|(space, page)| Action::Read { space, page }),
        3 => a().prop_map(|space| Action::Fork { space }),
        2 => a().prop_map(|space| Action::Snapshot { space }),
        2 => a().prop_map(|image| Action::Spawn { image }),
        2 => a().prop_map(|space| Action::DropSpace { space }),
        1 => a().prop_map(|image| Action::DropImage { image }),
        5 => (a(), b(), direction, duration).prop_map(|(space, page, direction, duration)| {
            Action::Pin { space, page, direction, duration }
        }),
        3 => a().prop_map(|pin| Action::Unpin { pin }),
        5 => a().prop_map(|pin| Action::DmaWrite { pin }),
        3 => a().prop_map(|pin| Action::DmaRead { pin }),
        2 => (a(), b()).prop_map(|(space, page)| Action::WriteProtect { space, page }),
        3 => (a(), b()).prop_map(|(space, page)| Action::Evict { space, page }),
        2 => (a(), b()).prop_map(|(space, page)| Action::Discard { space, page }),
        1 => (a(), b()).prop_map(|(space, page)| Action::Hold { space, page }),
        1 => a().prop_map(|hold| Action::Release { hold }),
        2 => (a(), a(), a()).prop_map(|(space, first, last)| {
            Action::Prefault { space, first, last }
        }),
    ]
}

/// Sequences of up to `most` actions.
pub(crate) fn sequences(most: usize) -> impl Strategy<Value = Vec<Action>> {
    prop::collection::vec(action(), 1..=most)
}
