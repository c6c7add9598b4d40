//! Sockets that live, and those that dead processes left behind.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use tempfile::TempDir;

use super::*;

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    folder
}

/// A socket at which nobody listens any more.
fn stale(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
    assert!(path.exists());
}

#[test]
fn a_socket_is_its_owners_alone_and_goes_with_its_claim() {
    let folder = folder();
    let path = folder.path().join("7.sock");
    let (listener, claim) = Claim::listen(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let client = UnixStream::connect(&path).unwrap();
    assert!(listener.accept().is_ok());
    drop((client, claim));
    assert!(!path.exists());
}

#[test]
fn a_live_socket_is_not_taken() {
    let folder = folder();
    let path = folder.path().join("7.sock");
    let _listening = Claim::listen(&path).unwrap();
    let refused = Claim::listen(&path).unwrap_err();
    assert!(matches!(refused, PlaceError::Live(_)), "{refused}");
    assert!(path.exists());
}

#[test]
fn a_stale_socket_is_replaced_and_other_files_are_not() {
    let folder = folder();
    let path = folder.path().join("7.sock");
    stale(&path);
    let _listening = Claim::listen(&path).unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "precious").unwrap();
    let refused = Claim::listen(&file).unwrap_err();
    assert!(matches!(refused, PlaceError::NoSocket(_)), "{refused}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert!(Claim::listen(&folder.path().join("no/such/folder")).is_err());
    assert!(Claim::listen(&folder.path().join("long".repeat(50))).is_err());
}

#[test]
fn a_claim_leaves_alone_what_is_not_its_own_any_more() {
    let folder = folder();
    let path = folder.path().join("7.sock");
    let (_listener, claim) = Claim::listen(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "somebody else's").unwrap();
    drop(claim);
    assert!(path.exists());
}

#[test]
fn live_ones_are_found_and_stale_ones_removed() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let _listening = Claim::listen(&at("12.sock")).unwrap();
    stale(&at("7.sock"));
    stale(&at("x.sock"));
    fs::write(at("8.sock"), "no socket").unwrap();
    fs::write(at("note"), "").unwrap();
    let found = find(folder.path()).unwrap();
    assert_eq!(found.live, [(12, at("12.sock"))]);
    assert_eq!(found.removed, [at("7.sock")]);
    assert!(!at("7.sock").exists() && at("8.sock").exists() && at("note").exists());
    assert!(at("x.sock").exists(), "it has not the name of a process");
    assert!(find(&at("no-such-folder")).unwrap().live.is_empty());
}

#[test]
fn a_folder_that_others_can_use_is_refused() {
    let folder = folder();
    for mode in [0o755, 0o770, 0o707, 0o701] {
        fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
        let refused = find(folder.path()).unwrap_err();
        assert!(matches!(refused, PlaceError::Open(_)), "{mode:o}: {refused}");
        assert!(check(folder.path()).is_err());
    }
}

/// Long enough for whoever does not wait for a lock.
const A_WHILE: Duration = Duration::from_millis(100);

/// A socket that is being made is there before anybody listens, and looks stale.
#[test]
fn nobody_takes_a_socket_for_stale_that_is_being_made() {
    let folder = folder();
    let path = folder.path().join("7.sock");
    stale(&path);
    let making = lock(folder.path()).unwrap();
    std::thread::scope(|scope| {
        let finding = scope.spawn(|| find(folder.path()).unwrap());
        std::thread::sleep(A_WHILE);
        assert!(path.exists() && !finding.is_finished());
        fs::remove_file(&path).unwrap();
        let _listener = UnixListener::bind(&path).unwrap();
        drop(making);
        assert_eq!(finding.join().unwrap().removed, Vec::<PathBuf>::new());
        assert!(path.exists());
    });
}

#[test]
fn sockets_of_a_folder_are_made_one_after_the_other() {
    let folder = folder();
    let path = folder.path().join("7.sock");
    let making = lock(folder.path()).unwrap();
    std::thread::scope(|scope| {
        let second = scope.spawn(|| Claim::listen(&path).unwrap());
        std::thread::sleep(A_WHILE);
        assert!(!path.exists() && !second.is_finished());
        drop(making);
        drop(second.join().unwrap());
    });
}
