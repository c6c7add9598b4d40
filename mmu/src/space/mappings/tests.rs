use super::*;
use crate::fake::Fake;
use crate::family::Family;
use crate::rules::RuleSet;
use crate::scenario::Random;
use crate::space::AddressSpace;
use crate::table::{LayerId, Mapped, SlotId};

/// A map whose pages are, letter by letter, of layer `a` or `b`, writable if upper case, or in the
/// `s`wap.
fn table(letters: &str) -> Table {
    let mut table = Table::filled(u32::try_from(letters.len()).unwrap(), Entry::Empty);
    for (gfn, letter) in (0..).map(Gfn).zip(letters.chars()) {
        let layer = LayerId(u32::from(letter.eq_ignore_ascii_case(&'b')));
        table.set(
            gfn,
            match letter {
                's' => Entry::Swapped { slot: SlotId(0), private: false },
                _ => {
                    Entry::Mapped(Mapped { writable: letter.is_uppercase(), ..Mapped::own(layer) })
                }
            },
        );
    }
    table
}

#[test]
fn neighbours_of_one_layer_share_a_mapping() {
    for (letters, mappings, charged) in [
        ("aaaa", 1, 1),
        ("aabb", 2, 2),
        ("abab", 4, 4),
        ("aAAa", 1, 3),
        ("aBBa", 3, 3),
        ("assa", 4, 4),
        ("A", 1, 1),
    ] {
        assert_eq!(pieces(&table(letters), parted), mappings, "{letters}");
        assert_eq!(pieces(&table(letters), apart), charged, "{letters}");
    }
}

fn mappings_of(table: &Table) -> Mappings<Fake> {
    Mappings::reserve(&Arc::new(Fake::new(16, 1_000)), table).unwrap()
}

#[test]
fn a_page_that_was_evicted_once_keeps_its_charge_until_it_is_shown_anew() {
    let (before, evicted) = (table("aaaaaaaa"), table("aasaaaaa"));
    let mut mappings = mappings_of(&before);
    assert_eq!(mappings.charge_of(&evicted), 3);
    mappings.brought_back(Gfn(2));
    assert_eq!((mappings.charge_of(&before), mappings.count_of(&before)), (3, 3));
    mappings.unwatch(Run::new(3, 8));
    assert_eq!(mappings.charge_of(&before), 3);
    mappings.unwatch(Run::new(0, 3));
    assert_eq!((mappings.charge_of(&before), mappings.count_of(&before)), (1, 1));
}

#[test]
fn a_change_is_charged_by_what_is_around_it() {
    let mut random = Random::new(1);
    let mut letters = *b"aaaaaaaaaaaa";
    for _ in 0..500 {
        let first = usize::try_from(random.below(12)).unwrap();
        let end = first + 1 + usize::try_from(random.below(12 - first as u64)).unwrap();
        let run = Run::new(u32::try_from(first).unwrap(), u32::try_from(end).unwrap());
        let before = table(std::str::from_utf8(&letters).unwrap());
        let letter = b"abABs"[usize::try_from(random.below(5)).unwrap()];
        letters[first..end].fill(letter);
        let after = table(std::str::from_utf8(&letters).unwrap());
        let mappings = mappings_of(&before);
        let cuts = |table| mappings.cuts(table, run);
        let charge = |table| mappings.charge_of(table);
        assert_eq!(charge(&before) + cuts(&after) - cuts(&before), charge(&after));
    }
}

#[test]
fn what_is_not_used_goes_back() {
    let fake = Arc::new(Fake::new(16, 1_000));
    let mut mappings = Mappings::reserve(&fake, &table("aaaaaaaaaaaaaaaa")).unwrap();
    let (at_birth, room) = (mappings.reserved(), mappings.charged() + 20);
    assert_eq!(fake.reserved(), at_birth);
    assert!(mappings.make_room(room));
    assert!(mappings.reserved() >= room + mappings.headroom);
    mappings.return_down_to(at_birth);
    assert_eq!(fake.reserved(), at_birth);
    assert!(mappings.make_room(500));
    mappings.replaced(3);
    assert_eq!(fake.reserved(), 3 + mappings.headroom + STEP);
    assert!(!mappings.make_room(10_000), "more than there is");
    drop(mappings);
    assert_eq!(fake.reserved(), 0);
}

#[test]
fn blocks_are_fine_in_times_of_plenty_only() {
    let headroom = |free| {
        let fake = Arc::new(Fake::new(1_024, free));
        let table = Table::filled(1_024, Entry::Mapped(Mapped::own(LayerId(0))));
        Mappings::reserve(&fake, &table).map(|mappings| (mappings.block_pages, mappings.headroom))
    };
    assert_eq!(headroom(200_000).unwrap(), (4, 512));
    assert_eq!(headroom(65_000).unwrap(), (16, 128));
    assert_eq!(headroom(10_000).unwrap(), (64, 32));
    assert_eq!(headroom(100).unwrap(), (256, 8));
    assert!(matches!(headroom(8), Err(SpaceError::NoMappings { needed: 9, free: 8 })));
}

/// A thousand spaces that write a little have room in what a process may have by default, with what a machine
/// of one vCPU takes beside each.
#[test]
fn a_thousand_modest_spaces_fit() {
    const PAGES: u32 = 16_384;
    let fake = Arc::new(Fake::new(PAGES, 63_000));
    let table = Table::filled(PAGES, Entry::Mapped(Mapped::own(LayerId(0))));
    let mut spaces = Vec::new();
    for number in 0..1_000 {
        assert!(fake.reserve_mappings(6), "{number} fit");
        let mut mappings = Mappings::reserve(&fake, &table).unwrap();
        assert!(mappings.make_room(3), "{number} fit");
        spaces.push(mappings);
    }
}

/// Random first writes with hardly any mappings: none fails, what is used stays within what is
/// reserved, and blocks are copied, which is counted apart.
#[test]
fn writes_never_fail_for_want_of_mappings() {
    const PAGES: u32 = 256;
    for (seed, spare) in (0..20).zip([0, 3, 10, 40].into_iter().cycle()) {
        let fake = Arc::new(Fake::new(PAGES, 2 * 9 + spare));
        let family = Family::new(Arc::clone(&fake), RuleSet::SingleRefcount.into(), PAGES);
        let parent = AddressSpace::root(&family).unwrap();
        let child = parent.fork().unwrap();
        let mut random = Random::new(seed);
        for _ in 0..200 {
            let gfn = Gfn(u32::try_from(random.below(PAGES.into())).unwrap());
            let space = if random.below(2) == 0 { &parent } else { &child };
            if fake.cpu_write(space.window(), gfn, 1, 1).is_err() {
                space.fault(gfn, true).unwrap();
                fake.cpu_write(space.window(), gfn, 1, 1).unwrap();
            }
            for space in [&parent, &child] {
                space.check_mappings().unwrap();
            }
        }
        let counts = family.counters().now();
        assert!(counts.block_copied > 0 && counts.copied > 0, "{counts:?}");
        assert!(counts.copied <= 200);
        let mappings = parent.census().mappings + child.census().mappings;
        assert!(mappings <= 18 + spare as u64, "{mappings}");
        family.audit([]).unwrap();
    }
}

/// The control: what the same writes take when there are mappings enough.
#[test]
fn control_random_writes_would_take_many_mappings() {
    const PAGES: u32 = 256;
    let fake = Arc::new(Fake::new(PAGES, 100_000));
    let family = Family::new(Arc::clone(&fake), RuleSet::SingleRefcount.into(), PAGES);
    let parent = AddressSpace::root(&family).unwrap();
    let _child = parent.fork().unwrap();
    for gfn in (0..PAGES).step_by(2) {
        parent.fault(Gfn(gfn), true).unwrap();
    }
    assert_eq!(parent.census().mappings, u64::from(PAGES));
    assert_eq!(family.counters().now().block_copied, 0);
}
