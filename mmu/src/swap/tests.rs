use super::*;

fn slot(gfn: u32, sharers: u32) -> Slot {
    Slot { layer: LayerId(1), gfn: Gfn(gfn), sharers, place: None }
}

#[test]
fn a_slot_lives_as_long_as_its_sharers() {
    let mut swap = Swap::default();
    let id = swap.add(slot(4, 2));
    assert_eq!(swap.of_frame(LayerId(1), Gfn(4)), Some(id));
    assert_eq!(swap.leave(id), None);
    assert_eq!(swap.slot(id).sharers, 1);
    assert_eq!(swap.leave(id).map(|slot| slot.gfn), Some(Gfn(4)));
    assert_eq!(swap.of_frame(LayerId(1), Gfn(4)), None);
    assert_eq!(swap.iter().count(), 0);
}

#[test]
fn numbers_are_used_again_and_never_twice_at_a_time() {
    let mut swap = Swap::default();
    let ids: Vec<_> = (0..3).map(|gfn| swap.add(slot(gfn, 1))).collect();
    swap.leave(ids[1]);
    assert_eq!(swap.add(slot(7, 1)), ids[1]);
    let next = swap.add(slot(8, 1));
    assert!(!ids.contains(&next));
    assert_eq!(swap.iter().count(), 4);
}

#[test]
#[should_panic = "swap slot 0 is gone"]
fn a_slot_that_is_gone_is_missed() {
    let mut swap = Swap::default();
    let id = swap.add(slot(0, 1));
    swap.leave(id);
    swap.leave(id);
}
