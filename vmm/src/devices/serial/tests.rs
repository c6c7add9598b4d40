use std::io;
use std::sync::Arc;

use super::*;

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn bytes_come_out_in_order_and_the_line_is_always_ready() {
    let out = Shared::default();
    let serial = Serial::new(Box::new(out.clone()), Box::new(()));
    for byte in b"hello" {
        let mut status = [0];
        serial.read(5, &mut status);
        assert_eq!(status[0] & 0x20, 0x20);
        serial.write(0, &[*byte]);
    }
    assert_eq!(*out.0.lock(), b"hello");
}

#[test]
fn wrong_sizes_and_offsets_do_nothing() {
    let out = Shared::default();
    let serial = Serial::new(Box::new(out.clone()), Box::new(()));
    for offset in [8, 255, 256, u64::MAX] {
        let mut byte = [0xff];
        serial.read(offset, &mut byte);
        assert_eq!(byte, [0xff]);
        serial.write(offset, &[1]);
    }
    serial.write(0, &[1, 2, 3, 4]);
    serial.write(0, &[]);
    serial.read(0, &mut [0xff; 8]);
    assert!(out.0.lock().is_empty());
}

#[test]
fn registers_survive_saving() {
    let serial = Serial::new(Box::new(io::sink()), Box::new(()));
    serial.write(7, &[0x5a]);
    serial.write(4, &[0x10]);
    serial.write(0, b"x");
    let state = serial.save();
    assert_eq!((state.scratch, state.received.as_slice()), (0x5a, b"x".as_slice()));
    let copy = Serial::restore(&state, Box::new(io::sink()), Box::new(())).unwrap();
    assert_eq!(copy.save(), state);
    let too_long = SerialState { received: vec![0; 65], ..state };
    assert_eq!(
        Serial::restore(&too_long, Box::new(io::sink()), Box::new(())).err(),
        Some(SerialRestoreError { found: 65 })
    );
}

/// Counts how often it was raised.
struct Counting(Arc<std::sync::atomic::AtomicUsize>);

impl Interrupt for Counting {
    fn raise(&self) -> io::Result<()> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn more_input_than_the_port_holds_waits_and_comes_in_order() {
    let raised = Arc::default();
    let serial = Serial::new(Box::new(io::sink()), Box::new(Counting(Arc::clone(&raised))));
    serial.write(1, &[1]);
    let input: Vec<u8> = (0..200).collect();
    assert_eq!(serial.receive(&input), 200);
    assert_ne!(raised.load(std::sync::atomic::Ordering::Relaxed), 0);
    let mut got = Vec::new();
    loop {
        let mut status = [0];
        serial.read(5, &mut status);
        if status[0] & 1 == 0 {
            break;
        }
        let mut byte = [0];
        serial.read(0, &mut byte);
        got.push(byte[0]);
    }
    assert_eq!(got, input);
    let most: usize = (0..100).map(|_| serial.receive(&[0; 100])).sum();
    assert_eq!(most, 64 + WAITING_MOST, "the rest waits where it comes from");
}
