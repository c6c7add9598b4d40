use super::*;
use crate::fake::Fake;

fn layer() -> (Arc<Fake>, Layer<Fake>) {
    const PAGES: u32 = 2 * CHUNK as u32 + 3;
    let fake = Arc::new(Fake::new(PAGES, 0));
    let store = fake.new_store().unwrap();
    (Arc::clone(&fake), Layer::new(LayerId(0), fake, store, PAGES))
}

#[test]
fn the_last_holder_gives_the_memory_back() {
    let (fake, layer) = layer();
    let run = Run::new(CHUNK as u32 - 2, CHUNK as u32 + 2);
    for gfn in run.gfns() {
        layer.take(gfn, Holder::Map);
        fake.device_write(layer.store(), gfn, 0, 7);
    }
    let kept = Gfn(CHUNK as u32);
    layer.add(kept, Holder::Image).unwrap();
    assert_eq!(layer.live(), 4);
    layer.let_go(run, Holder::Map);
    assert_eq!(layer.live(), 1);
    for gfn in run.gfns() {
        let bytes = if gfn == kept { [7, 0] } else { [0, 0] };
        assert_eq!(fake.device_read(layer.store(), gfn), bytes);
        assert_eq!(layer.is_free(gfn), gfn != kept);
    }
    layer.let_go(Run::one(kept), Holder::Image);
    assert_eq!(layer.live(), 0);
}

#[test]
fn counts_cost_nothing_before_they_are_used() {
    let (_, layer) = layer();
    assert!(layer.is_free(Gfn(5)));
    assert_eq!(layer.tally(Gfn(5)), Tally::default());
    assert!(layer.counts.existing(Gfn(5)).is_none());
    layer.take(Gfn(5), Holder::Map);
    assert!(layer.counts.existing(Gfn(6)).is_some(), "a chunk at a time");
    assert!(layer.counts.existing(Gfn(CHUNK as u32)).is_none());
}

#[test]
#[should_panic = "gfn 0x5: the slot that was set aside is not free"]
fn a_slot_is_not_taken_twice() {
    let (_, layer) = layer();
    layer.take(Gfn(5), Holder::Map);
    layer.take(Gfn(5), Holder::Map);
}
