use super::*;

#[test]
fn addresses_are_read_and_written_alike() {
    let mac: Mac = "02:00:5E:10:00:fF".parse().unwrap();
    assert_eq!(mac.bytes(), [2, 0, 0x5e, 0x10, 0, 0xff]);
    assert_eq!(mac.to_string(), "02:00:5e:10:00:ff");
    assert_eq!(mac.to_string().parse(), Ok(mac));
    let json = serde_json::to_string(&mac).unwrap();
    assert_eq!(serde_json::from_str::<Mac>(&json).unwrap(), mac);
}

#[test]
fn what_is_no_card_s_address_is_refused() {
    for text in [
        "",
        "02:00:00:00:00",
        "02:00:00:00:00:01:02",
        "02-00-00-00-00-01",
        "2:0:0:0:0:1",
        "02:00:00:00:00:0g",
        "02:00:00:00:00:+1",
        "00:00:00:00:00:00",
        "ff:ff:ff:ff:ff:ff",
        "01:00:5e:00:00:01",
    ] {
        assert_eq!(text.parse::<Mac>(), Err(NotAMac(text.into())));
    }
    assert!(serde_json::from_str::<Mac>("[1,0,0,0,0,0]").is_err());
}

#[test]
fn random_addresses_are_local_ones_and_differ() {
    let macs = [(); 4].map(|()| Mac::random().unwrap());
    for (n, mac) in macs.iter().enumerate() {
        assert_eq!(mac.bytes()[0] & 3, LOCAL);
        assert!(!macs[..n].contains(mac), "the chance of that is 1 in 2^43");
    }
}
