use super::*;

fn entries() -> Vec<Entry> {
    let mut entries = vec![Entry::Empty];
    for private in [false, true] {
        for number in [0, 1, NUMBER] {
            entries.push(Entry::Swapped { slot: SlotId(number), private });
            for writable in [false, true] {
                let layer = LayerId(number);
                entries.push(Entry::Mapped(Mapped { layer, writable, private }));
            }
        }
    }
    entries
}

fn own(layer: u32) -> Entry {
    Entry::Mapped(Mapped::own(LayerId(layer)))
}

#[test]
fn entries_are_packed_without_loss() {
    for entry in entries() {
        assert_eq!(Packed::new(entry).entry(), entry);
    }
}

#[test]
fn a_run_that_is_set_is_as_its_pages_set_one_by_one() {
    let chunk = CHUNK as u32;
    for pages in [1, 7, chunk, 3 * chunk + 5] {
        let before = (0..pages).fold(Table::filled(pages, own(9)), |mut table, gfn| {
            table.set(Gfn(gfn), own(gfn % 5));
            table
        });
        let bounds = [0, 1, chunk - 1, chunk, 2 * chunk + 3, 3 * chunk, pages];
        let within = |end: &u32| *end <= pages;
        for start in bounds.into_iter().filter(within) {
            for end in bounds.into_iter().filter(within).filter(|end| *end >= start) {
                let run = Run::new(start, end);
                let (mut at_once, mut one_by_one) = (before.clone(), before.clone());
                at_once.set_run(run, own(7));
                run.gfns().for_each(|gfn| one_by_one.set(gfn, own(7)));
                assert!(at_once.iter().eq(one_by_one.iter()), "{run} of {pages}");
                // Chunks of one value may be one, until something is set in one of them.
                at_once.set(Gfn(0), own(8));
                one_by_one.set(Gfn(0), own(8));
                assert!(at_once.iter().eq(one_by_one.iter()), "{run} of {pages}, and the first");
            }
        }
        let untouched =
            before.iter().zip(0..).all(|((_, entry), gfn): (_, u32)| entry == own(gfn % 5));
        assert!(untouched, "the table that was cloned");
    }
}

#[test]
fn what_is_set_is_found_and_nothing_else_changes() {
    for pages in [1, CHUNK as u32 - 1, CHUNK as u32, 3 * CHUNK as u32 + 5] {
        let mut table = Table::filled(pages, Entry::Empty);
        let gfns: Vec<_> = (0..pages).step_by(101).map(Gfn).collect();
        for (gfn, number) in gfns.iter().zip(0..) {
            table.set(*gfn, own(number));
        }
        for (gfn, entry) in table.iter() {
            let set = gfns.iter().position(|other| *other == gfn);
            let expected = set.map_or(Entry::Empty, |at| own(u32::try_from(at).unwrap()));
            assert_eq!(entry, expected, "{gfn} of {pages}");
        }
        assert_eq!(table.iter().count(), pages as usize);
    }
}

#[test]
fn copies_share_chunks_until_one_changes() {
    let table = Table::filled(3 * CHUNK as u32, own(1));
    assert!(Arc::ptr_eq(&table.chunks[0], &table.chunks[2]), "one chunk stands for all");
    let mut copy = table.clone();
    copy.set(Gfn(CHUNK as u32), own(2));
    assert_eq!(table.get(Gfn(CHUNK as u32)), own(1));
    assert!(Arc::ptr_eq(&table.chunks[0], &copy.chunks[0]));
    assert!(!Arc::ptr_eq(&table.chunks[1], &copy.chunks[1]));
}

#[test]
fn map_changes_every_entry_and_keeps_chunks_that_stay() {
    let mut table = Table::filled(2 * CHUNK as u32, own(1));
    table.set(Gfn(3), own(2));
    table.set(Gfn(4), Entry::Swapped { slot: SlotId(2), private: true });
    let mapped = table.map(|entry| if entry == own(2) { own(3) } else { entry });
    for (gfn, entry) in mapped.iter() {
        assert_eq!(entry, if gfn == Gfn(3) { own(3) } else { table.get(gfn) });
    }
    assert!(Arc::ptr_eq(&table.chunks[1], &mapped.chunks[1]));
}

#[test]
fn runs_are_maximal_and_stay_within_bounds() {
    let mut table = Table::filled(10, own(1));
    table.set(Gfn(4), own(2));
    table.set(Gfn(7), Entry::Empty);
    let layer = |_: Gfn, entry| match entry {
        Entry::Mapped(mapped) => Some(mapped.layer.0),
        _ => None,
    };
    let all = table.runs(table.all(), layer);
    let expected =
        [(Run::new(0, 4), 1), (Run::new(4, 5), 2), (Run::new(5, 7), 1), (Run::new(8, 10), 1)];
    assert_eq!(all, expected);
    assert_eq!(
        table.runs(Run::new(3, 6), layer),
        [(Run::new(3, 4), 1), (Run::new(4, 5), 2), (Run::new(5, 6), 1)]
    );
    assert_eq!(table.runs(Run::new(7, 8), layer), []);
}
