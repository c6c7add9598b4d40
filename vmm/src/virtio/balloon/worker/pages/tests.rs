use super::*;

fn run(first: u32, pages: u32) -> Pages {
    Pages { first, pages }
}

#[test]
fn a_range_has_the_pages_that_lie_in_it_as_a_whole() {
    let pages = |address, len| whole_pages(&Segment { address, len });
    assert_eq!(pages(0x1000, 0x3000), Some(run(1, 3)));
    assert_eq!(pages(0x1001, 0x3000), Some(run(2, 2)));
    assert_eq!(pages(0xfff, 0x1002), Some(run(1, 1)));
    assert_eq!(pages(0x1001, 0x1ffe), None);
    assert_eq!(pages(0x1000, 0xfff), None);
    assert_eq!(pages(0, u32::MAX), Some(run(0, (1 << 20) - 1)));
    assert_eq!(pages(1 << 44, 0x1000), None, "a number of more than 32 bits");
}

#[test]
fn numbers_in_order_are_runs() {
    let runs = |numbers: &[u32]| {
        runs_of(&numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>())
    };
    assert_eq!(runs(&[5, 6, 7, 9]), [run(5, 3), run(9, 1)]);
    assert_eq!(runs(&[7, 6, 5, 3]), [run(5, 3), run(3, 1)]);
    assert_eq!(runs(&[4, 4, 5]), [run(4, 1), run(4, 2)], "twice the same");
    assert_eq!(runs(&[u32::MAX, 0]), [run(u32::MAX, 1), run(0, 1)]);
    assert_eq!(runs(&[]), []);
}

#[test]
fn parts_are_all_there_once() {
    let all = [run(10, 3), run(0, 1), run(20, 4)];
    assert_eq!(Pages::part(&all, 0, 100), all);
    assert_eq!(Pages::part(&all, 2, 3), [run(12, 1), run(0, 1), run(20, 1)]);
    assert_eq!(Pages::part(&all, 8, 3), []);
    assert_eq!(Pages::part(&all, u64::MAX, 3), []);
    let mut seen = Vec::new();
    for done in 0..8 {
        seen.extend(Pages::part(&all, done, 1));
    }
    assert_eq!(Pages::sum(&seen), 8);
}

#[test]
fn what_is_skipped_is_gone() {
    let segments = [Segment { address: 100, len: 8 }, Segment { address: 300, len: 4 }];
    assert_eq!(skip(&segments, 0), segments);
    assert_eq!(skip(&segments, 4), [Segment { address: 104, len: 4 }, segments[1]]);
    assert_eq!(skip(&segments, 8), [segments[1]]);
    assert_eq!(skip(&segments, 12), []);
    assert_eq!(skip(&segments, 100), []);
}
