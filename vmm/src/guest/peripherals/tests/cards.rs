use super::*;

fn own(links: Vec<Link>) -> ChildConfig {
    let nets = links.into_iter().map(|link| ChildNet { link: Some(link), mac: None }).collect();
    ChildConfig { nets, ..ChildConfig::from(nowhere()) }
}

#[test]
fn the_parent_sends_what_was_available_and_each_side_receives_its_own() {
    let Some(host) = host() else { return };
    let (near, far, shut) = gated();
    let parent = boot(&host, vec![Some(near)], false);
    let mut driver = Driver::start(&parent);
    driver.offer(&parent, 1);
    ring(&parent);
    assert_eq!(arrived(&far, 1), [1]);
    wait_used(&parent, &mut driver.tx, 1);
    // The link has no room, so what is available now is so at the cut.
    shut.store(true, Ordering::Release);
    for number in [2, 3] {
        driver.offer(&parent, number);
    }
    for number in [0, 1] {
        driver.buffer(&parent, number);
    }
    let (its_near, its_far) = link();
    let mac = "02:00:00:00:00:02".parse().unwrap();
    let card = ChildNet { link: Some(its_near), mac: Some(mac) };
    let own = ChildConfig { nets: vec![card], ..ChildConfig::from(nowhere()) };
    let (child, _) = parent.fork(own).unwrap();
    let mut its_driver = driver.clone();
    assert_eq!(wait_used(&child, &mut its_driver.tx, 2).len(), 2, "without a doorbell");
    assert_eq!(child.net_counts()[0].left, 2);
    its_driver.offer(&child, 4);
    ring(&child);
    assert_eq!(arrived(&its_far, 1), [4]);
    assert!(is_quiet(&far));
    shut.store(false, Ordering::Release);
    ring(&parent);
    assert_eq!(arrived(&far, 2), [2, 3]);
    wait_used(&parent, &mut driver.tx, 2);
    // The same buffer on each side, from links of their own.
    far.send(&[0xaa; 60]).unwrap();
    its_far.send(&[0xbb; 60]).unwrap();
    assert_eq!(wait_used(&parent, &mut driver.rx, 1), [(0, 72)]);
    assert_eq!(wait_used(&child, &mut its_driver.rx, 1), [(0, 72)]);
    assert_eq!(read(&parent, IN + HEADER_LEN as u64), [0xaa; 60]);
    assert_eq!(read(&child, IN + HEADER_LEN as u64), [0xbb; 60]);
    assert_eq!(
        (config(&parent), config(&child)),
        ([2, 0, 0, 0, 0, 1, 1, 0], [2, 0, 0, 0, 0, 2, 1, 0])
    );
    assert!(is_quiet(&far) && is_quiet(&its_far));
    assert_eq!(parent.realm().family().audit([]), Ok(()));
}

#[test]
fn a_child_without_a_link_is_disconnected_until_it_is_given_one() {
    let Some(host) = host() else { return };
    let (near, _far) = link();
    let parent = boot(&host, vec![Some(near)], false);
    let mut driver = Driver::start(&parent);
    let (child, _) = parent.fork(nowhere()).unwrap();
    let registers = &*child.peripherals.nets[0].registers;
    assert_eq!((config(&parent)[6], config(&child)[6]), (1, 0));
    let deadline = Instant::now() + LONG;
    while test_driver::read32(registers, 0x60) & 2 == 0 {
        assert!(Instant::now() < deadline, "the driver is not told");
        std::thread::sleep(Duration::from_millis(1));
    }
    driver.offer(&child, 1);
    ring(&child);
    wait_used(&child, &mut driver.tx, 1);
    assert_eq!(child.net_counts()[0].lost, 1);
    let (its_near, its_far) = link();
    child.connect(0, Some(its_near)).unwrap();
    assert_eq!(config(&child)[6], 1);
    driver.offer(&child, 2);
    ring(&child);
    assert_eq!(arrived(&its_far, 1), [2]);
    let refused = child.connect(1, None).unwrap_err();
    assert!(matches!(refused, PeripheralError::NoCard { card: 1, cards: 1 }));
}

#[test]
fn clones_of_a_snapshot_have_cards_of_their_own() {
    let Some(host) = host() else { return };
    let (near, far, shut) = gated();
    let root = boot(&host, vec![Some(near)], false);
    let mut driver = Driver::start(&root);
    shut.store(true, Ordering::Release);
    driver.offer(&root, 1);
    let (snapshot, _) = root.snapshot().unwrap();
    for number in 2..5 {
        let (its_near, its_far) = link();
        let clone = snapshot.spawn(own(vec![its_near])).unwrap();
        let mut its_driver = driver.clone();
        its_driver.offer(&clone, number);
        ring(&clone);
        assert_eq!(wait_used(&clone, &mut its_driver.tx, 2).len(), 2);
        assert_eq!(arrived(&its_far, 1), [number]);
        assert!(is_quiet(&its_far));
        assert_eq!(clone.net_counts()[0].left, 1);
    }
    shut.store(false, Ordering::Release);
    ring(&root);
    assert_eq!(arrived(&far, 1), [1]);
}

#[test]
fn links_and_devices_that_there_is_no_place_for_are_refused() {
    let Some(host) = host() else { return };
    let parent = boot(&host, vec![None], false);
    let refused = parent.fork(own(vec![link().0, link().0])).err().unwrap();
    let expected = PeripheralError::NoCard { card: 1, cards: 1 }.to_string();
    assert_eq!(refused.to_string(), expected);
    let (child, _) = parent.fork(own(vec![link().0])).unwrap();
    assert_eq!(config(&child)[6], 1);
    let card = |_| NetConfig { link: None, mac: MAC.try_into().unwrap() };
    let nets = (0..8).map(card).collect();
    let config = GuestConfig { nets, rng: true, ..GuestConfig::default() };
    let refused = Guest::boot(&host, MEMORY, Rules::default(), config, PAYLOAD).err().unwrap();
    assert!(matches!(refused, GuestError::Devices { wanted: 9 }), "{refused}");
}

/// A guest whose driver and whose network never stop is forked and stopped all the same.
#[test]
fn floods_do_not_keep_a_guest_from_being_forked() {
    let Some(host) = host() else { return };
    let (near, far) = link();
    let guest = boot(&host, vec![Some(near)], false);
    let mut driver = Driver::start(&guest);
    far.set_nonblocking(true).unwrap();
    for number in 0..100 {
        driver.buffer(&guest, number);
    }
    let (stop, forks) = (AtomicBool::new(false), 8);
    let forked = std::thread::scope(|scope| {
        scope.spawn(|| {
            let memory = guest.machine().ram().memory();
            while !stop.load(Ordering::Acquire) {
                for number in 0..100 {
                    driver.offer(&guest, number);
                }
                let mut answered = 0;
                while answered < 100 && !stop.load(Ordering::Acquire) {
                    ring(&guest);
                    let _ = far.send(&[1; 60]);
                    while far.recv(&mut [0; 100]).is_ok() {}
                    answered += driver.tx.used(memory).len();
                    for (head, _) in driver.rx.used(memory) {
                        driver.buffer(&guest, head as u8);
                    }
                }
            }
        });
        let deadline = Instant::now() + LONG;
        let is_flowing = |counts: NetCounts| counts.sent > 0 && counts.received > 0;
        while !is_flowing(guest.net_counts()[0]) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        let forked: Result<Vec<_>, _> = (0..forks).map(|_| guest.fork(nowhere())).collect();
        stop.store(true, Ordering::Release);
        forked
    });
    assert_eq!(forked.unwrap().len(), forks);
    let counts = guest.net_counts()[0];
    assert!(counts.sent > 0 && counts.received > 0 && counts.malformed == 0, "{counts:?}");
}
