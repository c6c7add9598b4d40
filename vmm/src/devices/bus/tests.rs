use parking_lot::Mutex;

use super::*;

#[derive(Default)]
struct Recorder {
    seen: Mutex<Vec<(u64, Vec<u8>)>>,
}

impl MmioDevice for Recorder {
    fn read(&self, offset: u64, data: &mut [u8]) -> Flow {
        data.fill(offset as u8);
        Flow::Continue
    }

    fn write(&self, offset: u64, data: &[u8]) -> Flow {
        self.seen.lock().push((offset, data.to_vec()));
        Flow::Continue
    }
}

#[test]
fn an_access_reaches_its_device_with_the_offset() {
    let device = Arc::new(Recorder::default());
    let mut bus = MmioBus::new();
    bus.insert(0x1000, 0x100, device.clone()).unwrap();
    bus.write(0x1010, &[1, 2]);
    assert_eq!(*device.seen.lock(), [(0x10, vec![1, 2])]);
    let mut data = [0; 4];
    bus.read(0x10fc, &mut data);
    assert_eq!(data, [0xfc; 4]);
    assert_eq!(bus.unclaimed(), (0, 0));
}

#[test]
fn what_nobody_claims_reads_as_ones_and_is_counted() {
    let mut bus = MmioBus::new();
    bus.insert(0x1000, 0x100, Arc::new(Recorder::default())).unwrap();
    for address in [0, 0xfff, 0x10ff, 0x1100, u64::MAX, u64::MAX - 3] {
        let mut data = [0; 8];
        assert_eq!(bus.read(address, &mut data), Flow::Continue);
        assert_eq!(data, [0xff; 8], "{address:#x}");
        assert_eq!(bus.write(address, &data), Flow::Continue);
    }
    assert_eq!(bus.unclaimed(), (6, 6));
    bus.read(0x2000, &mut []);
    bus.read(0x1000, &mut [0; 4096]);
}

#[test]
fn ranges_may_touch_but_not_overlap() {
    let mut bus = MmioBus::new();
    let device = || Arc::new(Recorder::default());
    bus.insert(0x1000, 0x1000, device()).unwrap();
    bus.insert(0x2000, 0x1000, device()).unwrap();
    bus.insert(0xfff, 1, device()).unwrap();
    for (start, len) in [(0x1000, 1), (0x1fff, 2), (0x2fff, 1), (0, 0x1000), (0, u64::MAX)] {
        let refused = bus.insert(start, len, device());
        assert!(matches!(refused, Err(BusError::Overlap { .. })), "{start:#x}+{len:#x}");
    }
    bus.insert(u64::MAX, 1, device()).unwrap();
    assert_eq!(
        bus.insert(u64::MAX, 2, device()),
        Err(BusError::BadRange { start: u64::MAX, len_bytes: 2 })
    );
    assert_eq!(
        bus.insert(0x5000, 0, device()),
        Err(BusError::BadRange { start: 0x5000, len_bytes: 0 })
    );
}
