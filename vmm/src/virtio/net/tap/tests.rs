use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

use super::*;

/// Runs `test` on a thread with a network namespace of its own, in which there are a tap `tap0`, up
/// and with the address 10.0.0.1/24, and an interface `other0` that is no tap. Says so where this
/// user or this host cannot have that.
fn with_tap(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(move || {
        // SAFETY: only this thread's network namespace changes.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } < 0 {
            eprintln!("skipped: a network namespace: {}", io::Error::last_os_error());
            return;
        }
        for line in [
            "tuntap add tap0 mode tap",
            "address add 10.0.0.1/24 broadcast 10.0.0.255 dev tap0",
            "link set tap0 up",
            "link add other0 type bridge",
        ] {
            let done = Command::new("ip").args(line.split(' ')).output();
            if !done.as_ref().is_ok_and(|output| output.status.success()) {
                eprintln!("skipped: ip {line}: {done:?}");
                return;
            }
        }
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// The next frame that has `bytes` in it, which `send` sends again and again: the host's kernel takes a
/// moment to see that somebody has plugged in the tap, and it sends frames of its own.
fn next_with(tap: &mut Tap, bytes: &[u8], send: impl Fn()) -> Vec<u8> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut buffer = vec![0; 2000];
    while Instant::now() < deadline {
        match tap.receive(&mut buffer) {
            Ok(len) if buffer[..len].windows(bytes.len()).any(|part| part == bytes) => {
                return buffer[..len].to_vec();
            }
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                send();
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
    panic!("no such frame");
}

/// The checksum of an IP header (RFC 1071).
fn checksum(header: &[u8]) -> u16 {
    let words = header.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// A UDP datagram to everybody from 10.0.0.2, as a guest would send it.
fn datagram(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut ip = vec![0x45, 0, 0, 28 + payload.len() as u8, 0, 0, 0, 0, 64, 17, 0, 0];
    ip.extend([10, 0, 0, 2, 10, 0, 0, 255]);
    let sum = checksum(&ip).to_be_bytes();
    ip[10..12].copy_from_slice(&sum);
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 2, 0x08, 0x00]);
    frame.extend(ip);
    frame.extend(port.to_be_bytes());
    frame.extend(port.to_be_bytes());
    // No checksum of the datagram, which is allowed.
    frame.extend([0, 8 + payload.len() as u8, 0, 0]);
    frame.extend(payload);
    frame
}

#[test]
fn frames_pass_between_the_host_and_a_tap() {
    with_tap(|| {
        let mut tap = Tap::open("tap0").unwrap();
        let socket = UdpSocket::bind("0.0.0.0:4000").unwrap();
        socket.set_broadcast(true).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let broadcast = || {
            socket.send_to(b"from the host", "10.0.0.255:4000").unwrap();
        };
        let frame = next_with(&mut tap, b"from the host", broadcast);
        assert_eq!(frame.len(), 14 + 28 + 13, "a whole frame, and nothing before it");
        assert_eq!((&frame[..6], &frame[12..15]), (&[0xff; 6][..], &[8, 0, 0x45][..]));
        tap.send(&datagram(4000, b"from a guest")).unwrap();
        let mut buffer = [0; 100];
        // The host's own datagrams come back to it.
        let (bytes, from) = loop {
            let (len, from) = socket.recv_from(&mut buffer).unwrap();
            if buffer[..len] != b"from the host"[..] {
                break (&buffer[..len], from);
            }
        };
        assert_eq!((bytes, from.to_string()), (&b"from a guest"[..], "10.0.0.2:4000".into()));
    });
}

#[test]
fn taps_that_cannot_be_had_are_refused_by_what_to_do() {
    for name in ["", "a name", "a/b", "tap%d", "sixteen_bytes_xx", "a\0b"] {
        let refused = Tap::open(name).unwrap_err();
        assert!(matches!(refused, TapError::Name(_)), "{name}: {refused}");
    }
    let refused = Tap::open("no-such-tap").unwrap_err();
    assert!(refused.to_string().contains("ip tuntap add no-such-tap"), "{refused}");
    with_tap(|| {
        let _first = Tap::open("tap0").unwrap();
        assert!(matches!(Tap::open("tap0"), Err(TapError::Busy(_))));
        for name in ["other0", "lo"] {
            let refused = Tap::open(name).unwrap_err();
            assert!(matches!(refused, TapError::NotATap(_)), "{refused:?}");
        }
    });
}

#[test]
fn a_tap_that_is_down_or_gone_says_so() {
    with_tap(|| {
        let mut tap = Tap::open("tap0").unwrap();
        let ip = |line: &str| {
            assert!(Command::new("ip").args(line.split(' ')).status().unwrap().success());
        };
        ip("link set tap0 down");
        let lost = tap.send(&datagram(4000, b"lost")).unwrap_err();
        assert_ne!(lost.kind(), io::ErrorKind::WouldBlock, "{lost}");
        ip("link delete tap0");
        let gone = tap.receive(&mut [0; 2000]).unwrap_err();
        assert_ne!(gone.kind(), io::ErrorKind::WouldBlock, "{gone}");
    });
}
