//! Paths that are free, taken, left over, and none of ours.

use std::io::{Read, Write};

use super::*;

#[test]
fn a_socket_is_there_for_its_user_while_it_lives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v");
    let socket = HostSocket::bind(&path).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(socket.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let mut near = UnixStream::connect(&path).unwrap();
    let mut far = socket.accept().unwrap();
    near.write_all(b"x").unwrap();
    assert_eq!(far.read(&mut [0; 2]).unwrap(), 1);
    assert_eq!(far.read(&mut [0; 2]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(socket);
    assert!(!path.exists());
}

#[test]
fn a_path_that_is_taken_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v");
    let first = HostSocket::bind(&path).unwrap();
    let refused = HostSocket::bind(&path).unwrap_err();
    assert!(matches!(refused, HostSocketError::InUse(_)), "{refused}");
    assert!(UnixStream::connect(&path).is_ok());
    drop(first);
    fs::write(&path, "mine").unwrap();
    let refused = HostSocket::bind(&path).unwrap_err();
    assert!(matches!(refused, HostSocketError::NotASocket(_)), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    let long = folder.path().join("x".repeat(PATH_MOST));
    assert!(matches!(HostSocket::bind(&long).unwrap_err(), HostSocketError::TooLong(_)));
    let nowhere = HostSocket::bind(&folder.path().join("no/v")).unwrap_err().to_string();
    assert!(nowhere.contains("no/v") && nowhere.contains("folder"), "{nowhere}");
}

#[test]
fn a_socket_that_a_dead_process_left_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let socket = HostSocket::bind(&path).unwrap();
    assert!(UnixStream::connect(&path).is_ok());
    // Somebody has put his own in its place: that one stays.
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    drop(socket);
    assert!(path.exists());
    drop(other);
}

#[test]
fn a_port_of_the_host_is_a_socket_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let socket = HostSocket::bind(&folder.path().join("v")).unwrap();
    assert_eq!(socket.connect(7).unwrap_err().kind(), io::ErrorKind::NotFound);
    let listener = UnixListener::bind(folder.path().join("v_7")).unwrap();
    let mut near = socket.connect(7).unwrap();
    let (mut far, _) = listener.accept().unwrap();
    near.write_all(b"x").unwrap();
    assert_eq!(far.read(&mut [0; 2]).unwrap(), 1);
    assert_eq!(near.read(&mut [0; 2]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    // A listener that takes none, until its queue is full.
    let mut waiting = Vec::new();
    let full = loop {
        match socket.connect(7) {
            Ok(stream) => waiting.push(stream),
            Err(error) => break error,
        }
        assert!(waiting.len() < 100_000);
    };
    assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
}
