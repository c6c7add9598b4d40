use super::*;
use crate::fake::Fake;
use crate::rules::RuleSet;
use crate::space::AddressSpace;

const PAGES: u32 = 16;

fn family(mappings: usize) -> Arc<Family<Fake>> {
    let fake = Arc::new(Fake::new(PAGES, mappings));
    Family::new(fake, RuleSet::SingleRefcount.into(), PAGES)
}

fn mapped(layer: &Layer<Fake>, writable: bool) -> Entry {
    Entry::Mapped(Mapped { writable, ..Mapped::own(layer.id()) })
}

/// The invariant: a protected or evicted page has a free slot in a layer that its space owns.
fn assert_ready(reserve: &Reserve<Fake>, table: &Table) {
    for (gfn, entry) in table.iter() {
        if may_need_copy(entry) {
            assert!(reserve.layer_for(gfn).is_free(gfn), "{gfn} has no slot");
        }
    }
}

#[test]
fn layers_that_fit_are_used_again_and_the_others_given_back() {
    let family = family(1_000);
    let (first, second) = (Owned::take(&family, &[]).unwrap(), Owned::take(&family, &[]).unwrap());
    for gfn in (0..8).map(Gfn) {
        first.layer.take(gfn, crate::count::Holder::Map);
    }
    let candidates = [Arc::clone(&first), Arc::clone(&second)];
    let mut table = Table::filled(PAGES, mapped(&first.layer, false));

    let both = Reserve::plan(&family, &candidates, &table, 4).unwrap();
    assert_ready(&both, &table);
    assert_eq!(both.layer_for(Gfn(0)).id(), second.layer.id());
    assert_eq!(both.layer_for(Gfn(15)).id(), first.layer.id());
    assert_eq!((both.owned.len(), family.layers()), (2, 2));

    for gfn in (0..8).map(Gfn) {
        table.set(gfn, mapped(&first.layer, true));
    }
    let one = Reserve::plan(&family, &candidates, &table, 4).unwrap();
    assert_eq!(one.owned.len(), 1, "what stays writable needs no slot");
    drop((candidates, second, both));
    assert_eq!(family.layers(), 1, "an empty layer that nobody owns is gone");
}

#[test]
fn a_block_copies_into_one_layer() {
    let family = family(1_000);
    let full = Owned::take(&family, &[]).unwrap();
    full.layer.take(Gfn(5), crate::count::Holder::Map);
    let table = Table::filled(PAGES, mapped(&full.layer, false));
    let reserve = Reserve::plan(&family, &[Arc::clone(&full)], &table, 4).unwrap();
    assert_ready(&reserve, &table);
    let block = reserve.block(Gfn(5), PAGES);
    assert_eq!(block, Run::new(4, 8));
    let ids: Vec<_> = block.gfns().map(|gfn| reserve.layer_for(gfn).id()).collect();
    assert!(ids.iter().all(|id| *id != full.layer.id() && *id == ids[0]));
}

#[test]
fn spaces_keep_a_slot_for_every_page_that_may_need_one() {
    let root = AddressSpace::root(&family(1_000)).unwrap();
    let mut spaces = vec![root];
    for round in 0..6 {
        let child = spaces[round % spaces.len()].fork().unwrap();
        spaces.push(child);
        for (number, space) in (0..).zip(&spaces) {
            space.fault(Gfn((number + 3) % PAGES), true).unwrap();
            space.evict(Gfn((number + 5) % PAGES)).unwrap();
            let state = space.state.read();
            assert_ready(&state.reserve, &state.held.table);
        }
    }
    spaces[0].family().audit([]).unwrap();
}

/// A long chain of forks does not hoard layers.
#[test]
fn a_chain_of_forks_uses_layers_again() {
    let family = family(10_000);
    let mut guest = AddressSpace::root(&family).unwrap();
    let mut most = 0;
    for generation in 0..100 {
        let child = guest.fork().unwrap();
        child.fault(Gfn(generation % PAGES), true).unwrap();
        guest = child;
        most = most.max(family.layers());
    }
    assert!(most <= 6, "{most}");
}
