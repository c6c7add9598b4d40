use super::layout::{AFTER, wrong_page};
use super::*;
use crate::guest::{BackingKind, Sharing};
use crate::kvm::tests::host;

const MEMORY: u64 = 16 << 20;

fn guests(backing: BackingKind) -> Guests {
    let sharing = Sharing { backing, ..Sharing::default() };
    Guests { memory_bytes: MEMORY, vcpus: 1, sharing }
}

fn measured(backing: BackingKind, pattern: Pattern) -> Option<CowTimes> {
    let host = host()?;
    Some(measure(&host, &guests(backing), pattern, 2, &mut |_, _, _| {}).unwrap())
}

#[test]
fn runs_and_what_is_beside_them_never_meet() {
    for (pages, run) in [(1, 1), (100, 1), (96, 8), (80, 40)] {
        let layout = Layout::of(Pattern { pages, run }, MEMORY).unwrap();
        let (written, beside): (Vec<_>, Vec<_>) =
            (layout.pages().collect(), layout.beside().pages().collect());
        assert_eq!((written.len() as u64, beside.len() as u64), (pages, pages));
        assert!(written.iter().all(|page| !beside.contains(page)));
        let end = MEMORY / PAGE_BYTES as u64;
        assert!(written.iter().chain(&beside).all(|page| (TABLE_FIRST_PAGE..end).contains(page)));
    }
    let refused = Layout::of(Pattern { pages: 4000, run: 1 }, MEMORY);
    assert!(matches!(refused, Err(BenchError::TooSmall { least, .. }) if least > MEMORY));
}

#[test]
fn every_first_write_is_counted_on_each_side() {
    for backing in [BackingKind::HostCow, BackingKind::Trap] {
        for run in [1, 8] {
            let Some(times) = measured(backing, Pattern { pages: 64, run }) else { return };
            assert_eq!(times.violations, Vec::<String>::new());
            let methods = if backing == BackingKind::HostCow { 5 } else { 2 };
            assert_eq!(times.methods.len(), methods);
            for (method, samples) in &times.methods {
                assert_eq!(samples.len(), 2, "{method:?}");
                for sample in samples {
                    // And a few for the stack and the page tables of a clone.
                    let written = if *method == Method::Wrong { 64..160 } else { 64..80 };
                    assert!(written.contains(&sample.copied), "{method:?} {sample:?}");
                    assert!(sample.answer > Duration::ZERO);
                    assert!(sample.guest > Duration::ZERO && sample.cpu > Duration::ZERO);
                }
            }
        }
    }
}

/// The negative control: pages that are not as they should be are found, and so are writes that were not counted.
#[test]
fn a_page_that_was_not_written_or_should_not_have_been_is_found() {
    let layout = Layout::of(Pattern { pages: 16, run: 4 }, MEMORY).unwrap();
    let right = |at: u64| match layout.pages().any(|page| page * PAGE_BYTES as u64 == at) {
        true => AFTER,
        false => BEFORE,
    };
    let check = |word: &dyn Fn(u64) -> u64| wrong_page(layout, |at| Ok::<_, ()>(word(at))).unwrap();
    assert_eq!(check(&right), None);
    assert!(check(&|_| BEFORE).unwrap().contains("has 1, not 2"));
    assert!(check(&|_| AFTER).unwrap().contains("has 2, not 1"));
    assert_eq!(uncounted(Sample { copied: 16, ..Sample::default() }, 16), None);
    assert!(uncounted(Sample { copied: 15, ..Sample::default() }, 16).is_some());
}
