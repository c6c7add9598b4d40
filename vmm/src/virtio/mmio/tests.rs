use std::sync::atomic::{AtomicUsize, Ordering};

use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::*;
use crate::virtio::features::COMMON;
use crate::virtio::signals::Signals;
use crate::virtio::test_driver::*;

/// A device that does nothing but remember.
struct Fake {
    signals: Arc<Signals>,
    bells: [Arc<EventFd>; 2],
    activated: Mutex<Vec<(u64, usize)>>,
    written: Mutex<Vec<u8>>,
    resets: AtomicUsize,
}

impl Fake {
    /// How often each queue's bell was rung since the last look.
    fn rung(&self) -> [u64; 2] {
        [0, 1].map(|queue: usize| self.bells[queue].read().unwrap_or(0))
    }
}

impl Device for Fake {
    fn device_id(&self) -> u32 {
        42
    }

    fn features(&self) -> u64 {
        COMMON | 1 << 40
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![256, 64]
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        if offset < 16 {
            data.fill(offset as u8);
        }
    }

    fn write_config(&self, offset: u64, data: &[u8]) -> bool {
        let may = offset == 0x40;
        if may {
            self.written.lock().extend(data);
        }
        may
    }

    fn bell(&self, queue: u16) -> &Arc<EventFd> {
        &self.bells[usize::from(queue)]
    }

    fn signals(&self) -> &Arc<Signals> {
        &self.signals
    }

    fn accepts(&self, _: &Queue) -> bool {
        true
    }

    fn activate(&self, activation: Activation) {
        let queues = activation.queues.iter().flatten().count();
        self.activated.lock().push((activation.features, queues));
    }

    fn reset(&self) -> Reset {
        self.resets.fetch_add(1, Ordering::Relaxed);
        Reset::Done
    }
}

fn device() -> (Arc<Fake>, Mmio) {
    let device = Arc::new(Fake {
        signals: Arc::new(Signals::new(Box::new(()))),
        bells: [0, 1].map(|_| Arc::new(EventFd::new(EFD_NONBLOCK).unwrap())),
        activated: Mutex::default(),
        written: Mutex::default(),
        resets: AtomicUsize::new(0),
    });
    let mmio = Mmio::new(device.clone());
    (device, mmio)
}

#[test]
fn the_first_registers_say_what_it_is() {
    let (_, mmio) = device();
    let read = |offset| read32(&mmio, offset);
    assert_eq!([read(0), read(4), read(8)], [0x7472_6976, 2, 42]);
    assert_eq!(read(reg::VIRTIO_MMIO_SHM_LEN_LOW), u32::MAX);
    for (page, bits) in [(0, COMMON as u32), (1, (COMMON >> 32) as u32 | 1 << 8), (2, 0)] {
        write32(&mmio, reg::VIRTIO_MMIO_DEVICE_FEATURES_SEL, page);
        assert_eq!(read(reg::VIRTIO_MMIO_DEVICE_FEATURES), bits);
    }
    for (queue, size) in [(0, 256), (1, 64), (2, 0), (u32::MAX, 0)] {
        write32(&mmio, reg::VIRTIO_MMIO_QUEUE_SEL, queue);
        assert_eq!(read(reg::VIRTIO_MMIO_QUEUE_NUM_MAX), size);
        assert_eq!(read(reg::VIRTIO_MMIO_QUEUE_READY), 0);
    }
}

#[test]
fn registers_take_aligned_accesses_of_32_bits_only() {
    let readable =
        [0x00, 0x04, 0x08, 0x0c, 0x10, 0x34, 0x44, 0x60, 0x70, 0xb0, 0xb4, 0xb8, 0xbc, 0xfc];
    for offset in 0..0x100_u64 {
        for len in 0..=9_usize {
            let (_, mmio) = device();
            let mut data = vec![0xa5; len];
            mmio.read(offset, &mut data);
            let answers = len == 4 && readable.contains(&offset);
            assert_eq!(mmio.counts().refused_reads, u64::from(!answers), "{offset:#x} {len}");
            if !answers {
                assert_eq!(data, vec![0xa5; len], "{offset:#x} {len}");
            }
        }
    }
}

#[test]
fn writes_of_other_sizes_or_to_no_register_change_nothing() {
    let writable =
        [0x14, 0x20, 0x24, 0x30, 0x38, 0x44, 0x64, 0x70, 0x80, 0x84, 0x90, 0x94, 0xa0, 0xa4, 0xac];
    for offset in 0..0x140_u64 {
        for len in 0..=9_usize {
            let (_, mmio) = device();
            let before = mmio.save();
            let mut data = vec![0; len];
            if let Some(first) = data.first_mut() {
                *first = 1;
            }
            mmio.write(offset, &data);
            let taken = len == 4 && writable.contains(&offset);
            assert_eq!(mmio.counts().refused_writes, u64::from(!taken), "{offset:#x} {len}");
            if !taken {
                assert_eq!(mmio.save(), before, "{offset:#x} {len}");
            }
        }
    }
}

#[test]
fn the_configuration_space_takes_aligned_accesses_of_its_fields_sizes() {
    let (_, mmio) = device();
    for offset in 0..16_u64 {
        for len in 0..=9_usize {
            let mut data = vec![0xff; len];
            let before = mmio.counts().refused_reads;
            mmio.read(0x100 + offset, &mut data);
            let good = matches!(len, 1 | 2 | 4 | 8) && offset.is_multiple_of(len as u64);
            assert_eq!(mmio.counts().refused_reads - before, u64::from(!good), "{offset} {len}");
            assert_eq!(data, vec![if good { offset as u8 } else { 0xff }; len]);
        }
    }
    let mut data = [0xff; 4];
    mmio.read(u64::MAX - 3, &mut data);
    mmio.read(0x2000, &mut data);
    mmio.write(u64::MAX - 3, &data);
    assert_eq!(data, [0xff; 4]);
}

#[test]
fn what_a_device_lets_its_driver_write_reaches_it() {
    let (fake, mmio) = device();
    for (offset, data) in [(0x140, &[1, 2, 3, 4][..]), (0x140, &[5; 8]), (0x140, &[6])] {
        mmio.write(offset, data);
    }
    assert_eq!(mmio.counts().refused_writes, 0);
    for (offset, len) in [(0x100, 4), (0x141, 1), (0x140, 3), (0x140, 0), (0x140, 16), (0x13c, 8)] {
        mmio.write(offset, &vec![9; len]);
    }
    assert_eq!(mmio.counts().refused_writes, 6);
    assert_eq!(*fake.written.lock(), [1, 2, 3, 4, 5, 5, 5, 5, 5, 5, 5, 5, 6]);
}

#[test]
fn status_bits_are_set_in_order_only() {
    // From each status, each write, and what comes of it.
    for (from, write, to) in [
        (0, 1, 1),
        (0, 2, 0),
        (0, 3, 3),
        (0, 4, 0),
        (0, 8, 0),
        (0, 64, 0),
        (0, 128, 128),
        (1, 2, 1),
        (1, 3, 3),
        (1, 5, 1),
        (1, 9, 1),
        (3, 7, 3),
        (3, 11, 11),
        (3, 15, 15),
        (11, 3, 11),
        (11, 15, 15),
        (11, 0x4f, 15),
        (15, 11, 15),
        (15, 0x8f, 0x8f),
        (15, 0xffff_ff00, 15),
        (15, 0, 0),
        (3, 0, 0),
    ] {
        let (fake, mmio) = device();
        write32(&mmio, reg::VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
        write32(&mmio, reg::VIRTIO_MMIO_DRIVER_FEATURES, 1);
        for step in [1, 3, 11, 15].into_iter().filter(|step| *step <= from) {
            write32(&mmio, reg::VIRTIO_MMIO_STATUS, step);
        }
        assert_eq!(read32(&mmio, reg::VIRTIO_MMIO_STATUS), from);
        write32(&mmio, reg::VIRTIO_MMIO_STATUS, write);
        assert_eq!(read32(&mmio, reg::VIRTIO_MMIO_STATUS), to, "{from} {write:#x}");
        let activated = fake.activated.lock().len();
        assert_eq!(activated, usize::from(from & 4 != 0 || to & 4 != 0), "{from} {write:#x}");
    }
}

#[test]
fn features_that_were_not_offered_and_old_drivers_are_refused() {
    for (features, agreed) in [
        (VERSION_1, true),
        (COMMON, true),
        (COMMON | 1 << 40, true),
        (0, false),
        (COMMON & !VERSION_1, false),
        (COMMON | 1 << 41, false),
        (u64::MAX, false),
    ] {
        let (_, mmio) = device();
        for page in [0, 1] {
            write32(&mmio, reg::VIRTIO_MMIO_DRIVER_FEATURES_SEL, page);
            write32(&mmio, reg::VIRTIO_MMIO_DRIVER_FEATURES, (features >> (32 * page)) as u32);
        }
        write32(&mmio, reg::VIRTIO_MMIO_STATUS, 3);
        write32(&mmio, reg::VIRTIO_MMIO_STATUS, 11);
        let expected = if agreed { 11 } else { 3 };
        assert_eq!(read32(&mmio, reg::VIRTIO_MMIO_STATUS), expected, "{features:#x}");
        write32(&mmio, reg::VIRTIO_MMIO_DRIVER_FEATURES, 0);
        let kept = mmio.save().driver_features == features;
        assert_eq!(kept, agreed || features >> 32 == 0, "{features:#x}");
    }
}

#[test]
fn a_ready_driver_activates_its_queues_once() {
    let (fake, mmio) = device();
    start(&mmio, &[&Ring::new(1, 0x1000, 64)], true);
    write32(&mmio, reg::VIRTIO_MMIO_STATUS, 15);
    assert_eq!(*fake.activated.lock(), [(COMMON | 1 << 40, 1)]);
    for queue in [0, 1, 2, 0x1_0001] {
        write32(&mmio, reg::VIRTIO_MMIO_QUEUE_NOTIFY, queue);
    }
    assert_eq!(fake.rung(), [0, 1]);
    write32(&mmio, reg::VIRTIO_MMIO_STATUS, 0);
    assert_eq!(fake.resets.load(Ordering::Relaxed), 1);
    assert_eq!(mmio.save(), device().1.save());
}

#[test]
fn each_queue_has_a_doorbell() {
    let (fake, mmio) = device();
    let bells = mmio.doorbells();
    let places: Vec<_> = bells.iter().map(|bell| (bell.offset, bell.value)).collect();
    assert_eq!(places, [(0x50, 0), (0x50, 1)]);
    bells[1].event.write(3).unwrap();
    assert_eq!(fake.rung(), [0, 3]);
}

#[test]
fn a_ready_queue_is_not_written() {
    let (_, mmio) = device();
    let ring = Ring::new(1, 0x1000, 32);
    place_queue(&mmio, &ring);
    write32(&mmio, reg::VIRTIO_MMIO_QUEUE_READY, 1);
    let before = mmio.save();
    place_queue(&mmio, &Ring::new(1, 0x9000, 16));
    assert_eq!(mmio.save(), before);
    write32(&mmio, reg::VIRTIO_MMIO_QUEUE_READY, 0);
    place_queue(&mmio, &Ring::new(1, 0x5_0000_9000, 16));
    let queue = mmio.save().queues[1];
    assert_eq!((queue.size, queue.desc_table, queue.used_ring), (16, 0x5_0000_9000, 0x5_0000_c000));
    assert!(!queue.ready);
}

#[test]
fn configuration_changes_are_seen_by_generation_and_interrupt() {
    let (fake, mmio) = device();
    fake.signals.config_changed();
    assert_eq!(read32(&mmio, reg::VIRTIO_MMIO_CONFIG_GENERATION), 1);
    assert_eq!(read32(&mmio, reg::VIRTIO_MMIO_INTERRUPT_STATUS), 2);
    write32(&mmio, reg::VIRTIO_MMIO_INTERRUPT_ACK, 1);
    assert_eq!(read32(&mmio, reg::VIRTIO_MMIO_INTERRUPT_STATUS), 2);
    write32(&mmio, reg::VIRTIO_MMIO_INTERRUPT_ACK, 2);
    assert_eq!(read32(&mmio, reg::VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}
