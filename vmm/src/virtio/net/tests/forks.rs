//! Transmit belongs to the parent, receive buffers are handed back.

use proptest::prelude::*;

use super::bench::*;
use crate::virtio::Next;
use crate::virtio::net::NetCounts;

#[test]
fn frames_that_were_available_at_the_cut_are_sent_by_the_parent_alone() {
    let mut parent = Bench::new();
    for number in 0..3 {
        parent.send(number, &frame(number.into(), 60));
    }
    parent.step();
    for number in 3..6 {
        parent.send(number, &frame(number.into(), 60));
    }
    let mut child = parent.copy();
    // Before the child's device has done anything, its driver goes on.
    for number in 6..8 {
        child.send(number, &frame(number.into(), 60));
    }
    child.step();
    assert_eq!(child.numbers(), [6, 7]);
    assert_eq!(child.sent().len(), 8, "every buffer is answered");
    assert_eq!(child.counts(), NetCounts { sent: 2, left: 3, ..NetCounts::default() });
    assert_eq!(parent.numbers(), [0, 1, 2], "the child has sent nothing in its name");
    parent.step();
    assert_eq!((parent.numbers(), parent.sent().len()), (vec![3, 4, 5], 6));
    for bench in [&mut parent, &mut child] {
        bench.send(9, &frame(9, 60));
        bench.step();
        assert_eq!((bench.numbers(), bench.sent()), (vec![9], vec![(9, 0)]));
    }
}

#[test]
fn frames_that_wait_for_room_on_the_link_stay_the_parent_s() {
    let mut parent = Bench::new();
    for number in 0..60 {
        parent.send(number, &frame(number.into(), 60));
    }
    parent.room.is(25);
    assert_eq!(parent.step(), Next::Soon, "the link is full");
    let child = parent.copy();
    child.settle();
    assert_eq!((child.numbers(), child.counts().sent, child.counts().left), (vec![], 0, 35));
    parent.room.is(1000);
    parent.settle();
    assert_eq!(parent.numbers(), (0..60).collect::<Vec<u32>>());
}

#[test]
fn receive_buffers_stay_available_to_both_and_each_has_its_own_link() {
    let mut parent = Bench::new();
    parent.buffers(0..2);
    parent.step();
    parent.far.send(&frame(1, 60)).unwrap();
    let mut child = parent.copy();
    child.step();
    assert_eq!(child.received(), [], "what waits in the host is the parent's");
    child.far.send(&frame(2, 70)).unwrap();
    for (bench, number, len) in [(&mut parent, 1, 60), (&mut child, 2, 70)] {
        bench.step();
        assert_eq!(bench.received(), [(0, 12 + len as u32)]);
        assert_eq!(bench.bytes(IN + 12, len), frame(number, len));
        bench.far.send(&frame(3, 60)).unwrap();
        bench.step();
        assert_eq!(bench.received(), [(1, 72)]);
    }
}

#[test]
fn a_child_of_a_child_sends_nothing_of_either() {
    let mut parent = Bench::new();
    parent.send(0, &frame(0, 60));
    let mut child = parent.copy();
    child.send(1, &frame(1, 60));
    // The child's device has not taken a step yet.
    let mut grandchild = child.copy();
    grandchild.send(2, &frame(2, 60));
    for (bench, number, answers) in
        [(&mut grandchild, 2, 3), (&mut child, 1, 2), (&mut parent, 0, 1)]
    {
        bench.step();
        assert_eq!((bench.numbers(), bench.sent().len()), (vec![number], answers));
    }
}

#[test]
fn a_reset_forgets_whose_frames_they_were() {
    let mut parent = Bench::new();
    parent.send(0, &frame(0, 60));
    let mut child = parent.copy();
    child.restart();
    child.send(1, &frame(1, 60));
    child.step();
    assert_eq!((child.numbers(), child.counts().left), (vec![1], 0));
}

#[test]
fn a_copy_looks_at_its_queues_and_tells_its_driver() {
    let parent = Bench::new();
    parent.step();
    let child = parent.copy();
    let raised = || child.line.0.load(std::sync::atomic::Ordering::Acquire);
    assert_eq!(raised(), 0, "nothing happens before the first step");
    child.step();
    assert_eq!(raised(), 1);
}

#[derive(Clone, Copy, Debug)]
enum Move {
    /// The driver of a guest makes frames available.
    Send {
        guest: usize,
        frames: u16,
    },
    /// The device of a guest takes a step.
    Step {
        guest: usize,
    },
    /// Somebody reads the far end of a link, which then has so much room.
    Read {
        guest: usize,
        room: usize,
    },
    Fork {
        guest: usize,
    },
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => (0..8_usize, 1..12_u16).prop_map(|(guest, frames)| Move::Send { guest, frames }),
        3 => (0..8_usize).prop_map(|guest| Move::Step { guest }),
        2 => (0..8_usize, 0..9_usize).prop_map(|(guest, room)| Move::Read { guest, room }),
        1 => (0..8_usize).prop_map(|guest| Move::Fork { guest }),
    ]
}

/// A guest, the numbers of the frames that its own driver made available, and those that came out.
struct Member {
    bench: Bench,
    free: Vec<u16>,
    offered: Vec<u32>,
    arrived: Vec<u32>,
}

impl Member {
    fn send(&mut self, next: &mut u32, frames: u16) {
        let used = self.bench.sent();
        self.free.extend(used.iter().map(|&(head, _)| head as u16));
        for _ in 0..frames {
            let Some(head) = self.free.pop() else { return };
            self.bench.send(head, &frame(*next, 60));
            self.offered.push(*next);
            *next += 1;
        }
    }

    fn read(&mut self) {
        self.arrived.extend(self.bench.numbers());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Whenever guests are forked: each frame comes out once, in order, and at the link of the guest
    /// whose driver made it available.
    #[test]
    fn each_frame_is_sent_once(moves in prop::collection::vec(moves(), 1..60)) {
        let mut next = 0;
        let root = Member {
            bench: Bench::new(),
            free: (0..40).collect(),
            offered: Vec::new(),
            arrived: Vec::new(),
        };
        let mut family = vec![root];
        for one in moves {
            let members = family.len();
            match one {
                Move::Send { guest, frames } => family[guest % members].send(&mut next, frames),
                Move::Step { guest } => drop(family[guest % members].bench.step()),
                Move::Read { guest, room } => { family[guest % members].read(); family[guest % members].bench.room.is(room); }
                Move::Fork { guest } if members < 6 => {
                    let parent = &family[guest % members];
                    let (bench, free) = (parent.bench.copy(), parent.free.clone());
                    let (offered, arrived) = (Vec::new(), Vec::new());
                    family.push(Member { bench, free, offered, arrived });
                }
                Move::Fork { .. } => {}
            }
        }
        for member in &mut family {
            member.bench.room.is(1000);
            member.bench.settle();
            member.read();
            prop_assert_eq!(&member.arrived, &member.offered);
            member.free.extend(member.bench.sent().iter().map(|&(head, _)| head as u16));
            prop_assert_eq!(member.free.len(), 40, "a buffer was not answered");
        }
    }
}
