use super::*;
use crate::churn;
use crate::memory::{Memory, fake::Ram};

#[test]
fn the_log_ends_with_the_page_and_the_words_lie_before_it() {
    const { assert!(LINES < LOG) };
    assert_eq!(log_pair(LOG_PAIRS as u64 - 1) + 2, PAGE_WORDS);
    assert_eq!(log_pair(LOG_PAIRS as u64), LOG);
    assert_eq!(offset(SALT), 8);
}

#[test]
fn a_page_of_zeros_expects_nothing() {
    let view = ControlView::new(&[0; PAGE_BYTES]);
    assert_eq!(view.region(), None);
    assert_eq!(view.expected(0, true), Expected::Unwritten);
}

#[test]
fn each_page_is_expected_in_the_round_that_wrote_it_last() {
    let mut ram = Ram::new(8);
    let region = Region::new(2, 4).expect("a region");
    ram.store(0, SALT, 0xaa);
    churn::start(&mut ram, 0, region, 7);
    churn::run(&mut ram, 0, 3);
    let view = ControlView::new(&ram.page(0));
    let header = PageHeader { page: 4, round: 0, salt: 0xaa, seed: 7 };
    assert_eq!(view.expected(4, true), Expected::Page(header));
    assert_eq!(view.expected(5, true), Expected::InFlight);
    assert_eq!(view.expected(5, false), Expected::Unwritten);
    assert_eq!(view.expected(6, false), Expected::Unwritten);

    ram.store(0, SALT, 0xbb);
    churn::run(&mut ram, 0, 3);
    let view = ControlView::new(&ram.page(0));
    let at = |page, round, salt| Expected::Page(PageHeader { page, round, salt, seed: 7 });
    let seen: Vec<Expected> = (2..6).map(|page| view.expected(page, false)).collect();
    assert_eq!(seen, [at(2, 1, 0xbb), at(3, 1, 0xbb), at(4, 0, 0xaa), at(5, 0, 0xbb)]);
    assert_eq!(view.expected(4, true), Expected::InFlight);
}
