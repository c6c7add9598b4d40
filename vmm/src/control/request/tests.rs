//! Requests as JSON: what they look like, and what is none.

use proptest::prelude::*;

use super::*;
use crate::control::ControlError;
use crate::control::wire::request;

fn card(tap: &str, mac: Option<&str>) -> Card {
    Card { tap: tap.to_owned(), mac: mac.map(|mac| mac.parse().unwrap()) }
}

#[test]
fn requests_look_like_this() {
    let own = Own {
        serial: Some("/tmp/child".into()),
        nets: vec![card("t1", Some("02:00:00:00:00:07")), card("t2", None)],
        vsock: Some(Sockets { cid: 7.try_into().unwrap(), uds: "/tmp/child.sock".into() }),
    };
    for (expected, text) in [
        (Request::Ps {}, r#"{"request":"ps"}"#),
        (Request::Pause { id: 1 }, r#"{"request":"pause","id":1}"#),
        (Request::Resume { id: 1 }, r#"{"request":"resume","id":1}"#),
        (Request::Fork { id: 2, own: Own::default() }, r#"{"request":"fork","id":2,"own":{}}"#),
        (
            Request::Spawn { id: 3, own },
            r#"{"request":"spawn","id":3,"own":{"serial":"/tmp/child","nets":[{"tap":"t1","mac":"02:00:00:00:00:07"},{"tap":"t2"}],"vsock":{"cid":7,"uds":"/tmp/child.sock"}}}"#,
        ),
        (Request::Snapshot { id: 1 }, r#"{"request":"snapshot","id":1}"#),
        (Request::Stop { id: 1, kill: true }, r#"{"request":"stop","id":1,"kill":true}"#),
        (Request::Stats { id: 1 }, r#"{"request":"stats","id":1}"#),
    ] {
        assert_eq!(serde_json::to_string(&expected).unwrap(), text);
        assert_eq!(request(text.as_bytes()), Ok(expected));
    }
}

#[test]
fn what_has_a_default_may_be_left_out() {
    let fork = Request::Fork { id: 2, own: Own::default() };
    assert_eq!(request(br#"{"id":2,"request":"fork"}"#), Ok(fork));
    assert_eq!(request(br#"{"request":"stop","id":1}"#), Ok(Request::Stop { id: 1, kill: false }));
}

#[test]
fn everything_else_is_refused_with_a_reason() {
    for text in [
        "",
        "ps",
        "null",
        "[]",
        "{}",
        r#"{"request":"ps""#,
        r#"{"request":"ps"} {"request":"ps"}"#,
        r#"{"request":"ps","id":1}"#,
        r#"{"request":"Ps"}"#,
        r#"{"request":"reboot","id":1}"#,
        r#"{"request":"pause"}"#,
        r#"{"request":"pause","id":-1}"#,
        r#"{"request":"pause","id":4294967296}"#,
        r#"{"request":"pause","id":1.5}"#,
        r#"{"request":"pause","id":"1"}"#,
        r#"{"request":"pause","id":1,"id":2}"#,
        r#"{"request":"pause","request":"stop","id":1}"#,
        r#"{"request":"stop","id":1,"kill":"yes"}"#,
        r#"{"request":"fork","id":1,"own":null}"#,
        r#"{"request":"fork","id":1,"own":{"disk":"x"}}"#,
        r#"{"request":"fork","id":1,"own":{"vsock":{"cid":2,"uds":"/tmp/child.sock"}}}"#,
        r#"{"request":"fork","id":1,"own":{"nets":[{"mac":"02:00:00:00:00:07"}]}}"#,
        r#"{"request":"fork","id":1,"own":{"nets":[{"tap":"t","mac":"01:00:00:00:00:07"}]}}"#,
    ] {
        let refused = request(text.as_bytes());
        assert!(matches!(refused, Err(ControlError::NotUnderstood { .. })), "{text}: {refused:?}");
    }
    let nested = "[".repeat(60_000);
    assert!(request(nested.as_bytes()).is_err());
    assert!(request(b"{\"request\":\"ps\"}\xff").is_err());
}

fn any_card() -> impl Strategy<Value = Card> {
    let mac = prop::option::of(any::<[u8; 6]>());
    (".{0,20}", mac)
        .prop_map(|(tap, mac)| Card { tap, mac: mac.and_then(|mac| mac.try_into().ok()) })
}

fn any_own() -> impl Strategy<Value = Own> {
    let serial = prop::option::of(".{0,40}".prop_map(PathBuf::from));
    let sockets = |(cid, uds)| Sockets { cid: Cid::try_from(cid).expect("3 and more"), uds };
    let uds = ".{0,40}".prop_map(PathBuf::from);
    let vsock = prop::option::of((3_u32..u32::MAX, uds).prop_map(sockets));
    (serial, prop::collection::vec(any_card(), 0..4), vsock).prop_map(|(serial, nets, vsock)| Own {
        serial,
        nets,
        vsock,
    })
}

fn any_request() -> impl Strategy<Value = Request> {
    let id = any::<u32>;
    prop_oneof![
        Just(Request::Ps {}),
        id().prop_map(|id| Request::Pause { id }),
        id().prop_map(|id| Request::Resume { id }),
        (id(), any_own()).prop_map(|(id, own)| Request::Fork { id, own }),
        id().prop_map(|id| Request::Snapshot { id }),
        (id(), any_own()).prop_map(|(id, own)| Request::Spawn { id, own }),
        (id(), any::<bool>()).prop_map(|(id, kill)| Request::Stop { id, kill }),
        id().prop_map(|id| Request::Stats { id }),
    ]
}

proptest! {
    /// And each is one line.
    #[test]
    fn requests_survive_the_way_there(sent in any_request()) {
        let line = serde_json::to_vec(&sent).unwrap();
        prop_assert!(!line.contains(&b'\n'));
        prop_assert_eq!(request(&line), Ok(sent));
    }

    /// What is understood of damaged requests means what it says: it can be sent again.
    #[test]
    fn damaged_requests_are_refused_or_mean_what_they_say(
        sent in any_request(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut line = serde_json::to_vec(&sent).unwrap();
        for (at, byte) in damage {
            let at = at.index(line.len());
            line[at] = byte;
        }
        line.truncate(1 + cut.index(line.len()));
        if let Ok(understood) = request(&line) {
            let again = serde_json::to_vec(&understood).unwrap();
            prop_assert_eq!(request(&again), Ok(understood));
        }
    }
}
