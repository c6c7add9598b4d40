use super::*;
use crate::memory::fake::Ram;
use std::collections::HashSet;

#[test]
fn words_differ_by_seed_page_and_index() {
    let mut seen = HashSet::new();
    for seed in 0..4 {
        for page in 0..16 {
            for index in 0..PAGE_WORDS {
                assert!(seen.insert(word(seed, page, index)), "{seed} {page} {index}");
            }
        }
    }
}

#[test]
fn the_words_are_fixed() {
    assert_eq!(word(0, 0, 0), 0x76d9_7845_4db9_e142);
    assert_eq!(table_checksum(1024, 2, 7), 0x83cb_b4c9_2da9_c3d2);
}

#[test]
fn a_filled_table_checks_and_sums_as_computed() {
    let mut ram = Ram::new(8);
    fill(&mut ram, 2, 5, 7);
    assert_eq!(check(&ram, 2, 5, 7), (0, None));
    assert_eq!(sum(&ram, 2, 5), table_checksum(2, 5, 7));
    let mut seen = Checksum::new();
    (2..7).for_each(|page| seen.add_bytes(&ram.page(page)));
    assert_eq!(seen.finish(), table_checksum(2, 5, 7));
    assert_eq!((ram.0[1], ram.0[7]), ([0; PAGE_WORDS], [0; PAGE_WORDS]));
}

#[test]
fn check_counts_what_differs_and_finds_the_first() {
    let mut ram = Ram::new(8);
    fill(&mut ram, 2, 5, 7);
    ram.0[4][3] ^= 1;
    ram.0[6][500] ^= 1 << 63;
    assert_eq!(check(&ram, 2, 5, 7), (2, Some(4 * 4096 + 24)));
    assert_eq!(check(&ram, 2, 5, 8).0, 5 * 512);
}

#[test]
fn the_checksum_sees_a_bit_and_the_order() {
    let mut ram = Ram::new(2);
    fill(&mut ram, 0, 2, 1);
    let whole = sum(&ram, 0, 2);
    for index in [0, 1, 255, 511] {
        for bit in [0, 31, 63] {
            let mut other = ram.clone();
            other.0[1][index] ^= 1 << bit;
            assert_ne!(sum(&other, 0, 2), whole);
        }
    }
    for (a, b) in [(0, 1), (0, 4), (7, 500)] {
        let mut other = ram.clone();
        other.0[0].swap(a, b);
        assert_ne!(sum(&other, 0, 2), whole);
    }
    ram.0.swap(0, 1);
    assert_ne!(sum(&ram, 0, 2), whole);
}

#[test]
fn touch_writes_one_word_of_each_page_of_its_stride() {
    let mut ram = Ram::new(8);
    assert_eq!(touch(&mut ram, 1, 6, 2, 9), 3);
    let first_words: Vec<u64> = ram.0.iter().map(|page| page[0]).collect();
    assert_eq!(first_words, [0, 9, 0, 9, 0, 9, 0, 0]);
    assert!(ram.0.iter().all(|page| page[1..].iter().all(|word| *word == 0)));
    assert_eq!(touch(&mut ram, 1, 6, u64::MAX, 9), 1);
}

#[test]
fn runs_are_as_long_as_they_say_and_end_with_the_pages() {
    let first_words = |pages, shape| {
        let mut ram = Ram::new(10);
        let touched = touch_runs(&mut ram, 1, pages, shape, 9);
        let written: Vec<usize> = (0..10).filter(|&page| ram.0[page][0] == 9).collect();
        assert_eq!(touched, written.len() as u64);
        written
    };
    assert_eq!(first_words(8, (2, 3)), [1, 2, 4, 5, 7, 8]);
    assert_eq!(first_words(4, (2, 3)), [1, 2, 4]);
    assert_eq!(first_words(4, (9, 2)), [1, 2, 3, 4], "no page is written twice");
    assert_eq!(first_words(8, (0, 1)), [0; 0]);
}

#[test]
fn a_stamp_is_read_as_a_whole_and_stays_within_its_words() {
    let mut ram = Ram::new(2);
    stamp(&mut ram, 4096 - 16, 4, 9);
    assert_eq!((ram.0[0][509], ram.0[0][510], ram.0[1][1], ram.0[1][2]), (0, 9, 9, 0));
    assert_eq!(stamped(&ram, 4096 - 16, 4), 9);
    for word in 0..4 {
        let mut torn = ram.clone();
        torn.set_word(4096 - 16 + word * 8, 8);
        assert_eq!(stamped(&torn, 4096 - 16, 4), TORN, "word {word}");
        assert_eq!(stamped(&torn, 4096 - 16 + word * 8, 1), 8);
    }
}
