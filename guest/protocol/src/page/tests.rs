use super::*;
use crate::memory::fake::Ram;

const HEADER: PageHeader = PageHeader { page: 2, round: 3, salt: 0xaa, seed: 7 };

fn written() -> Ram {
    let mut ram = Ram::new(4);
    HEADER.write(&mut ram);
    ram
}

#[test]
fn a_written_page_verifies() {
    let ram = written();
    assert_eq!(verify_page(&ram.page(2), 2, 7), Ok(HEADER));
    assert_eq!(verify_exact(&ram.page(2), &HEADER), Ok(()));
}

#[test]
fn every_word_that_changes_is_noticed() {
    for index in 0..PAGE_WORDS {
        for bit in [0, 63] {
            let mut ram = written();
            ram.0[2][index] ^= 1 << bit;
            let expected =
                if index < HEADER_WORDS { PageFault::Broken } else { PageFault::Torn { index } };
            assert_eq!(verify_page(&ram.page(2), 2, 7), Err(expected));
        }
    }
}

#[test]
fn a_page_that_is_half_of_another_round_is_torn() {
    let mut ram = written();
    let mut next = ram.clone();
    PageHeader { round: 4, ..HEADER }.write(&mut next);
    for cut in 2..PAGE_WORDS {
        ram.0[2][..cut].copy_from_slice(&next.0[2][..cut]);
        assert!(verify_page(&ram.page(2), 2, 7).is_err(), "cut at word {cut}");
    }
}

#[test]
fn blank_misplaced_and_unexpected_pages_are_told_apart() {
    let ram = written();
    let bytes = ram.page(2);
    assert_eq!(verify_page(&ram.page(1), 1, 7), Err(PageFault::Blank));
    assert_eq!(verify_page(&bytes, 3, 7), Err(PageFault::Misplaced { found: HEADER }));
    assert_eq!(verify_page(&bytes, 2, 8), Err(PageFault::Misplaced { found: HEADER }));
    for expected in [PageHeader { salt: 0xab, ..HEADER }, PageHeader { round: 4, ..HEADER }] {
        let found = Err(PageFault::Unexpected { found: HEADER });
        assert_eq!(verify_exact(&bytes, &expected), found);
    }
}
