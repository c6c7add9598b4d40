//! The arithmetic of the budget, and its start on this host.

use super::*;

#[test]
fn it_is_taken_whole_or_not_at_all() {
    let budget = Budget::new(10);
    assert!(budget.reserve(7));
    assert!(!budget.reserve(4));
    assert_eq!(budget.free(), 3);
    assert!(budget.reserve(3));
    assert!(!budget.reserve(usize::MAX));
    budget.give_back(10);
    assert_eq!(budget.free(), 10);
}

#[test]
fn the_process_has_less_than_the_kernel_allows() {
    let budget = Budget::of_process();
    assert!(budget.free() > 0 && budget.limit + mappings_in_use() < max_map_count() + MARGIN);
    assert!(Arc::ptr_eq(&budget, &Budget::of_process()));
}

#[test]
fn threads_never_take_more_than_there_is() {
    let budget = Budget::new(100);
    let taken: usize = std::thread::scope(|scope| {
        let takers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..1000).filter(|_| budget.reserve(1)).count()))
            .collect();
        takers.into_iter().map(|taker| taker.join().expect("taker")).sum()
    });
    assert_eq!((taken, budget.free()), (100, 0));
}
