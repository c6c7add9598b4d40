//! Commands that are to be done soon.

use std::time::Duration;

use super::*;
use crate::client::tell;
use crate::frame::{self, Kind};

const LONG: Duration = Duration::from_secs(60);

fn told(script: &str, patience: Duration) -> Result<bool, String> {
    let (near, serving) = raw();
    let mut started = false;
    let told = tell(near.into(), &["sh", "-c", script], patience, || started = true);
    serving.join().unwrap();
    told.map(|()| started).map_err(|error| error.to_string())
}

#[test]
fn what_succeeds_is_told_and_what_fails_says_why() {
    assert_eq!(told("echo much; exit 0", LONG), Ok(true));
    for (script, words) in [
        ("echo why >&2; exit 3", ["exit status 3", "why"]),
        ("kill -9 $$", ["sh -c kill", "signal 9"]),
    ] {
        let error = told(script, LONG).unwrap_err();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
    let (near, _serving) = raw();
    let refused = tell(near.into(), &["no-such-program"], LONG, || panic!("it did not start"));
    assert_eq!(reason(refused), Reason::NoProgram);
}

#[test]
fn what_takes_too_long_is_given_up() {
    let error = told("exec sleep 1", Duration::from_millis(50)).unwrap_err();
    assert!(error.contains("not done after 50ms"), "{error}");
}

#[test]
fn a_guest_that_never_ends_to_speak_is_given_up_and_not_kept() {
    let (near, far) = UnixStream::pair().unwrap();
    let guest = thread::spawn(move || {
        frame::write(&far, Kind::Reply, b"{\"started\":{\"pid\":7}}").unwrap();
        let much = vec![b'x'; frame::MOST];
        let mut written = 0_u64;
        while frame::write(&far, Kind::Stderr, &much).is_ok() {
            written += 1;
        }
        written
    });
    let mut started = false;
    let told = tell(near.into(), &["x"], Duration::from_millis(200), || started = true);
    assert!(
        matches!(&told, Err(ClientError::Told { problem, .. }) if problem.len() < 5000),
        "{told:?}"
    );
    assert!(started);
    assert!(guest.join().unwrap() > 0);
}
