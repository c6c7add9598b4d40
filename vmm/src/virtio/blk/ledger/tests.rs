use vm_memory::GuestMemoryMmap;

use super::super::config::BlkOptions;
use super::super::request::ZeroedRange;
use super::*;
use crate::virtio::chain::Segment;

fn request(head: u16, kind: Kind) -> Request {
    let data = matches!(kind, Kind::In | Kind::Out);
    let zeroes = matches!(kind, Kind::Discard | Kind::WriteZeroes);
    let range = ZeroedRange { sector: 8, sectors: 8, unmap: false };
    Request {
        head,
        kind,
        sector: 0,
        segments: vec![Segment { address: 0x1001, len: 512 }; usize::from(data)],
        ranges: vec![range; usize::from(zeroes)],
        status_address: 0xffff,
        data_len: if data { 512 } else { 0 },
    }
}

fn check(entries: Vec<Entry>) -> Result<(), &'static str> {
    let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), 0x10000)]).unwrap();
    let config = BlkOptions { capacity: 64, ..BlkOptions::default() }.try_into().unwrap();
    let sizes = [Some(16), None, Some(4)];
    Ledger { entries }.check(&sizes, &config, &memory).map_err(|error| error.problem)
}

fn entry(queue: u16, order: u64, request: Request) -> Entry {
    Entry { queue, order, request }
}

fn changed(kind: Kind, change: impl Fn(&mut Request)) -> Result<(), &'static str> {
    let mut request = request(3, kind);
    change(&mut request);
    check(vec![entry(0, 1, request)])
}

#[test]
fn what_a_device_had_is_accepted() {
    let kinds = [Kind::In, Kind::Out, Kind::Flush, Kind::Discard, Kind::WriteZeroes];
    let entries = kinds.iter().enumerate();
    let entries = entries.map(|(n, &kind)| entry(0, n as u64 * 3, request(n as u16, kind)));
    assert_eq!(check(entries.collect()), Ok(()));
    let same_head = vec![entry(0, 0, request(3, Kind::In)), entry(2, 1, request(3, Kind::In))];
    assert_eq!(check(same_head), Ok(()));
    assert_eq!(check(Vec::new()), Ok(()));
}

#[test]
fn entries_that_do_not_belong_together_are_refused() {
    let one = |queue, order, head| entry(queue, order, request(head, Kind::In));
    assert!(check(vec![one(1, 0, 0)]).unwrap_err().contains("use that queue"));
    assert!(check(vec![one(9, 0, 0)]).unwrap_err().contains("use that queue"));
    assert!(check(vec![one(2, 0, 4)]).unwrap_err().contains("no such descriptor"));
    assert!(check(vec![one(0, 0, 4), one(0, 1, 4)]).unwrap_err().contains("same head"));
    assert!(check(vec![one(0, 1, 4), one(0, 1, 5)]).unwrap_err().contains("order"));
    assert!(check(vec![one(0, 2, 4), one(0, 1, 5)]).unwrap_err().contains("order"));
    assert!(check(vec![one(0, u64::MAX, 4)]).unwrap_err().contains("order"));
}

#[test]
fn requests_that_decoding_would_refuse_are_refused() {
    let memory = Err("its buffers are not in guest memory");
    assert_eq!(changed(Kind::In, |it| it.segments[0].address = 0xff00), memory);
    assert_eq!(changed(Kind::In, |it| it.segments[0].address = u64::MAX), memory);
    assert_eq!(changed(Kind::In, |it| it.segments[0].len = 0), memory);
    assert_eq!(changed(Kind::Flush, |it| it.status_address = 0x10000), memory);
    let parts = Err("its parts do not fit together");
    assert_eq!(changed(Kind::In, |it| it.data_len = 1024), parts);
    assert_eq!(changed(Kind::Out, |it| it.segments.clear()), parts);
    assert_eq!(changed(Kind::Flush, |it| it.ranges = request(0, Kind::Discard).ranges), parts);
    let disk = Err("the disk does not carry it out");
    assert_eq!(changed(Kind::In, |it| it.sector = 64), disk);
    assert_eq!(changed(Kind::In, |it| it.sector = u64::MAX), disk);
    assert_eq!(changed(Kind::Discard, |it| it.ranges[0].sectors = 100), disk);
    assert_eq!(changed(Kind::Discard, |it| it.ranges.clear()), disk);
    assert_eq!(changed(Kind::Flush, |it| it.kind = Kind::Unsupported(7)), disk);
    let odd = |it: &mut Request| {
        it.segments[0].len = 100;
        it.data_len = 100;
    };
    assert_eq!(changed(Kind::Out, odd), disk);
}
