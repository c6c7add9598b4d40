//! Where buffers and tables lie.

use super::super::buffer::{lay_out, put_sector, sector_at};
use super::super::plan::{GAP_MOST, LENT_PAGES};
use super::*;
use crate::disk::SECTOR_BYTES;
use crate::map::PAGE_BYTES;
use crate::memory::fake::Ram;
use crate::table::mix;

fn plan(depth: u64, most: u64) -> Plan {
    let mut machine = machine(depth, most, 0, 0);
    start(&mut machine).plan
}

#[test]
fn the_tables_and_the_spans_lie_in_the_area_one_after_the_other() {
    for (depth, most) in [(1, 1), (5, 3), (64, 128), (128, 20)] {
        let plan = plan(depth, most);
        let end = plan.area.end() * PAGE_BYTES as u64;
        let ((salts, bytes), (shadow, shadow_bytes)) = (plan.salts_range(), plan.shadow_range());
        assert_eq!((salts, salts + bytes), (plan.area.first() * PAGE_BYTES as u64, plan.slot(0)));
        assert_eq!(shadow, plan.slot(depth));
        assert_eq!(shadow + shadow_bytes, plan.shadow(plan.sector + plan.sectors));
        let mut at = plan.span(0).address;
        assert!(at >= shadow + shadow_bytes);
        for slot in 0..depth {
            let span = plan.span(slot);
            assert_eq!(span.address, at, "slot {slot}");
            assert!(span.most_sectors <= most && span.most_sectors > 0);
            at += span.bytes;
        }
        let page = PAGE_BYTES as u64;
        for number in 0..LENT_PAGES {
            let entry = plan.lent_entry(number);
            assert!(entry >= shadow + shadow_bytes && entry + 16 <= plan.span(0).address);
            let lent = plan.lent_page(number);
            assert!(
                lent.is_multiple_of(page) && lent >= at && lent - at < page,
                "{at:#x} {lent:#x}"
            );
            at = lent + page;
        }
        assert_eq!(at, end);
    }
}

#[test]
fn neighbouring_spans_share_pages() {
    let plan = plan(64, 128);
    let shared =
        (1..64).filter(|slot| !plan.span(*slot).address.is_multiple_of(PAGE_BYTES as u64)).count();
    assert!(shared > 50, "{shared}");
}

#[test]
fn buffers_lie_in_their_span_with_stamps_all_around() {
    let plan = plan(8, 128);
    let mut seed = 0;
    for round in 0..4000_u64 {
        let span = plan.span(round % 8);
        let aligned = round % 3 == 0;
        let mut choose = |below: u64| {
            seed += 1;
            mix(seed) % below
        };
        let bytes = (1 + choose(span.most_sectors)) * SECTOR_BYTES;
        let layout = lay_out(span, bytes, aligned, choose);
        let total: u64 = layout.segments().iter().map(|segment| segment.bytes).sum();
        assert_eq!(total, bytes);
        assert!(layout.count as u64 <= span.most_segments);
        let gaps: Vec<(u64, u64)> = layout.gaps().collect();
        assert_eq!(gaps.len(), layout.count + 1);
        assert!(gaps[0].0 >= span.address && gaps[layout.count].1 <= span.address + span.bytes);
        assert!(gaps.iter().all(|(from, to)| to > from && to - from <= GAP_MOST));
        for (segment, gap) in layout.segments().iter().zip(&gaps) {
            assert!(segment.address == gap.1 && segment.bytes > 0 && segment.bytes % 8 == 0);
            assert!(!aligned || segment.address % 512 == 0 && segment.bytes % 512 == 0);
        }
    }
}

#[test]
fn sectors_go_into_buffers_and_out_of_them_and_touch_nothing_else() {
    let mut machine = machine(8, 128, 0, 0);
    let plan = start(&mut machine).plan;
    let mut seed = 5;
    for slot in 0..8 {
        let mut ram = Ram::new(plan.area.end() as usize);
        let span = plan.span(slot);
        let layout = lay_out(span, span.most_sectors * SECTOR_BYTES, false, |below| {
            seed += 1;
            mix(seed) % below
        });
        for (from, to) in layout.gaps() {
            stamps::write(&mut ram, 42, from, to);
        }
        let words = |index| SectorHeader { salt: 1, sequence: 2, sector: index, seed: 3 }.words();
        (0..span.most_sectors)
            .for_each(|index| put_sector(&mut ram, &layout, index, &words(index)));
        for index in 0..span.most_sectors {
            assert_eq!(sector_at(&ram, &layout, index), words(index));
        }
        for (from, to) in layout.gaps() {
            assert_eq!(stamps::check(&ram, [42, 0], from, to), None);
        }
    }
}
