//! Devices that are understood, and words that are none.

use super::*;

#[test]
fn devices_are_read_in_any_order() {
    let cid = Cid::try_from(3).unwrap();
    for (text, uds) in [("cid=3,uds=v", "v"), ("uds=/a/b=c,cid=3", "/a/b=c")] {
        assert_eq!(text.parse::<VsockArg>().unwrap(), VsockArg { cid, uds: uds.into() }, "{text}");
    }
}

#[test]
fn other_words_are_refused_by_what_to_write() {
    for (text, word) in [
        ("", "`` is not a part"),
        ("3", "`3` is not a part"),
        ("cid=3", "names no Unix socket"),
        ("cid=3,uds=", "`uds=` is not a part"),
        ("uds=v", "has no CID"),
        ("cid=2,uds=v", "`2` is not the CID"),
        ("cid=x,uds=v", "`x` is not the CID"),
        ("cid=3,cid=4,uds=v", "`cid=4` is not a part"),
        ("cid=3,uds=v,port=1", "`port=1` is not a part"),
    ] {
        let refused = text.parse::<VsockArg>().unwrap_err().to_string();
        assert!(refused.contains(word) && refused.ends_with("cid=3,uds=guest.sock"), "{refused}");
    }
}
