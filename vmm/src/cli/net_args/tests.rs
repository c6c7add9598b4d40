//! Cards that are understood, and words that are none.

use super::*;

#[test]
fn cards_are_read_with_their_addresses() {
    let mac = "02:00:00:00:00:07".parse().unwrap();
    for (text, tap, mac) in [
        ("tap=tap0", "tap0", None),
        ("tap=a=b", "a=b", None),
        ("tap=t,mac=02:00:00:00:00:07", "t", Some(mac)),
        ("mac=02:00:00:00:00:07,tap=t", "t", Some(mac)),
    ] {
        assert_eq!(text.parse::<NetArg>().unwrap(), NetArg { tap: tap.into(), mac }, "{text}");
    }
}

#[test]
fn other_words_are_refused_by_what_to_write() {
    for (text, word) in [
        ("", "`` is not a part"),
        ("tap0", "`tap0` is not a part"),
        ("tap=", "`tap=` is not a part"),
        ("tap=a,tap=b", "`tap=b` is not a part"),
        ("tap=a,", "`` is not a part"),
        ("tap=a,mtu=9000", "`mtu=9000` is not a part"),
        ("mac=02:00:00:00:00:07", "names no tap"),
        ("tap=a,mac=7", "`7` is not the MAC address"),
        ("tap=a,mac=ff:ff:ff:ff:ff:ff", "not the MAC address"),
    ] {
        let refused = text.parse::<NetArg>().unwrap_err().to_string();
        assert!(refused.contains(word) && refused.ends_with("tap=NAME,mac=ADDRESS"), "{refused}");
    }
}
