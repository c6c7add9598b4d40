//! Connections to a guest that is forked, by a driver outside of it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::*;
use crate::guest::ChildVsock;

const RX: u64 = 0x50_c000;
const TX: u64 = 0x51_0000;
const EVENT: u64 = 0x51_4000;
const HEADER: u64 = 44;
const PORT: u32 = 1024;

/// Fields of a header, by their places: `(offset, value)`.
fn packet(host: u32, op: u16, len: u32) -> [u8; HEADER as usize] {
    let mut bytes = [0; HEADER as usize];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, &3_u64.to_le_bytes());
    put(8, &2_u64.to_le_bytes());
    put(16, &PORT.to_le_bytes());
    put(20, &host.to_le_bytes());
    put(24, &len.to_le_bytes());
    put(28, &1_u16.to_le_bytes());
    put(30, &op.to_le_bytes());
    put(36, &(1_u32 << 16).to_le_bytes());
    bytes
}

/// A driver's view of its device. A fork's copy goes on where the original was.
#[derive(Clone)]
struct Sockets {
    rx: Ring,
    tx: Ring,
    event: Ring,
}

impl Sockets {
    fn start(guest: &Guest) -> Self {
        let ring = |index, base| Ring::new(index, base, QUEUE_SIZE);
        let mut new = Self { rx: ring(0, RX), tx: ring(1, TX), event: ring(2, EVENT) };
        let registers = &*guest.peripherals.vsock.as_ref().unwrap().registers;
        test_driver::start(registers, &[&new.rx, &new.tx, &new.event], false);
        for number in 0..16 {
            let at = IN + u64::from(number) * SLOT;
            offer(guest, &mut new.rx, number, (at, SLOT as u32, true));
        }
        offer(guest, &mut new.event, 0, (OUT + 0x8000, 4, true));
        ring_bell(guest);
        new
    }

    fn say(&mut self, guest: &Guest, host: u32, op: u16, bytes: &[u8]) {
        write(guest, OUT, &packet(host, op, bytes.len() as u32));
        write(guest, OUT + HEADER, bytes);
        offer(guest, &mut self.tx, 0, (OUT, HEADER as u32 + bytes.len() as u32, false));
        ring_bell(guest);
        wait_used(guest, &mut self.tx, 1);
    }

    /// Waits for the next packet: the host's port, the operation, the bytes.
    fn hear(&mut self, guest: &Guest) -> (u32, u16, Vec<u8>) {
        let used = wait_used(guest, &mut self.rx, 1);
        assert_eq!(used.len(), 1, "{used:?}");
        let (head, len) = used[0];
        let at = IN + u64::from(head) * SLOT;
        let port = u32::from_le_bytes(read(guest, at + 16));
        let op = u16::from_le_bytes(read(guest, at + 30));
        let mut bytes = vec![0; len as usize - HEADER as usize];
        let memory = guest.machine().ram().memory();
        memory.read_slice(&mut bytes, GuestAddress(at + HEADER)).unwrap();
        (port, op, bytes)
    }

    /// Accepts the connection that a program of the host has asked for.
    fn accept(&mut self, guest: &Guest, stream: &mut UnixStream) -> u32 {
        let (port, op, _) = self.hear(guest);
        assert_eq!(op, 1, "a request");
        self.say(guest, port, 2, b"");
        let expected = format!("OK {port}\n");
        let mut line = vec![0; expected.len()];
        stream.read_exact(&mut line).unwrap();
        assert_eq!(line, expected.as_bytes());
        port
    }
}

fn offer(guest: &Guest, ring: &mut Ring, head: u16, part: (u64, u32, bool)) {
    let memory = guest.machine().ram().memory();
    ring.chain(memory, head, &[part]);
    ring.offer(memory, head);
}

fn ring_bell(guest: &Guest) {
    for queue in 0..3 {
        write32(&*guest.peripherals.vsock.as_ref().unwrap().registers, 0x50, queue);
    }
}

fn connect(path: &Path) -> UnixStream {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(format!("CONNECT {PORT}\n").as_bytes()).unwrap();
    stream
}

/// A program that has come by another way than the socket.
fn hand_in(guest: &Guest) -> UnixStream {
    let (mut near, far) = UnixStream::pair().unwrap();
    near.set_read_timeout(Some(LONG)).unwrap();
    near.write_all(format!("CONNECT {PORT}\n").as_bytes()).unwrap();
    guest.adopt(far).unwrap();
    near
}

fn boot(host: &Arc<crate::kvm::Host>, path: &Path) -> Guest {
    let socket = Some(HostSocket::bind(path).unwrap());
    let vsock = Some(VsockConfig { cid: 3.try_into().unwrap(), socket });
    let config = GuestConfig { vsock, ..GuestConfig::default() };
    let guest = Guest::boot(host, MEMORY, Rules::default(), config, PAYLOAD).unwrap();
    guest.machine().start().unwrap();
    guest
}

#[test]
fn connections_stay_with_the_parent_and_each_side_is_found_at_its_own_path() {
    let Some(host) = host() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (path, its_path) = (folder.path().join("v"), folder.path().join("w"));
    let parent = boot(&host, &path);
    let mut driver = Sockets::start(&parent);
    let mut stream = connect(&path);
    let port = driver.accept(&parent, &mut stream);
    let socket = Some(HostSocket::bind(&its_path).unwrap());
    let vsock = Some(ChildVsock { cid: None, socket });
    let (child, _) = parent.fork(ChildConfig { vsock, ..ChildConfig::from(nowhere()) }).unwrap();
    let mut its_driver = driver.clone();
    // Both are alive, and what was connected is the parent's.
    let used = wait_used(&child, &mut its_driver.event, 1);
    assert_eq!((used, read(&child, OUT + 0x8000)), (vec![(0, 4)], [0; 4]));
    its_driver.say(&child, port, 5, b"from nobody");
    assert_eq!(its_driver.hear(&child), (port, 3, Vec::new()), "a reset");
    stream.write_all(b"still here").unwrap();
    assert_eq!(driver.hear(&parent), (port, 5, b"still here".to_vec()));
    driver.say(&parent, port, 5, b"so am I");
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"so am I");
    // A new one, to the child, when its driver has seen the event.
    let mut its_stream = connect(&its_path);
    offer(&child, &mut its_driver.event, 0, (OUT + 0x8000, 4, true));
    ring_bell(&child);
    its_driver.accept(&child, &mut its_stream);
    let mut handed_in = hand_in(&child);
    its_driver.accept(&child, &mut handed_in);
    let (counts, its_counts) = (parent.vsock_counts().unwrap(), child.vsock_counts().unwrap());
    assert_eq!((counts.malformed, its_counts.malformed), (0, 0));
    assert_eq!((counts.resets, its_counts.resets), (0, 1));
    drop(child);
    assert!(!its_path.exists() && path.exists());
    assert_eq!(its_stream.read(&mut [0]).unwrap(), 0);
    assert_eq!(parent.realm().family().audit([]), Ok(()));
}

#[test]
fn clones_of_a_snapshot_have_sockets_of_their_own_or_none() {
    let Some(host) = host() else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = boot(&host, &folder.path().join("v"));
    let driver = Sockets::start(&root);
    let (snapshot, _) = root.snapshot().unwrap();
    for cid in 4..6 {
        let path = folder.path().join(format!("clone{cid}"));
        let socket = Some(HostSocket::bind(&path).unwrap());
        let own = ChildVsock { cid: Some(cid.try_into().unwrap()), socket };
        let own = ChildConfig { vsock: Some(own), ..ChildConfig::from(nowhere()) };
        let clone = snapshot.spawn(own).unwrap();
        let mut config = [0; 8];
        clone.peripherals.vsock.as_ref().unwrap().registers.read(0x100, &mut config);
        assert_eq!(u64::from_le_bytes(config), u64::from(cid));
        assert!(path.exists());
    }
    let clone = snapshot.spawn(nowhere()).unwrap();
    let mut its_driver = driver.clone();
    its_driver.say(&clone, 7, 1, b"");
    assert_eq!(its_driver.hear(&clone), (7, 3, Vec::new()));
    let used = wait_used(&clone, &mut its_driver.event, 1);
    offer(&clone, &mut its_driver.event, used[0].0 as u16, (OUT + 0x8000, 4, true));
    let mut handed_in = hand_in(&clone);
    ring_bell(&clone);
    its_driver.accept(&clone, &mut handed_in);
    let without =
        Guest::boot(&host, MEMORY, Rules::default(), GuestConfig::default(), PAYLOAD).unwrap();
    let refused = without.adopt(UnixStream::pair().unwrap().0);
    assert!(matches!(refused, Err(PeripheralError::NoSockets)));
    let own = ChildConfig { vsock: Some(ChildVsock::default()), ..ChildConfig::from(nowhere()) };
    assert!(matches!(
        without.fork(own).err().unwrap(),
        GuestError::Peripheral(PeripheralError::NoVsock)
    ));
}
