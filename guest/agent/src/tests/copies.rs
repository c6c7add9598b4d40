use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::*;

fn put(path: &Path, mode: u32, bytes: &[u8]) -> Result<u64, ClientError> {
    let (agent, serving) = agent();
    let put = agent.put(path.to_str().unwrap(), mode, Path::new("content"), bytes);
    serving.join().unwrap();
    put
}

fn get_file(path: &Path, to: &Path) -> Result<u64, ClientError> {
    let (agent, serving) = agent();
    let got = agent.get_file(path.to_str().unwrap(), to);
    serving.join().unwrap();
    got
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn names(folder: &Path) -> Vec<String> {
    let name =
        |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    fs::read_dir(folder).unwrap().map(name).collect()
}

#[test]
fn files_come_and_go_with_every_byte_and_their_mode() {
    let folder = tempfile::tempdir().unwrap();
    let (there, back) = (folder.path().join("there"), folder.path().join("back"));
    for (len, bits) in [(0, 0o644), (1, 0o600), (65_536, 0o755), (3_000_001, 0o400)] {
        let bytes = pattern(len);
        assert_eq!(put(&there, bits, &bytes).unwrap(), len as u64);
        assert!(fs::read(&there).unwrap() == bytes);
        assert_eq!(mode(&there), bits);
        assert_eq!(get_file(&there, &back).unwrap(), len as u64);
        assert!(fs::read(&back).unwrap() == bytes);
        assert_eq!(mode(&back), bits);
        let (agent, serving) = agent();
        let mut output = Vec::new();
        agent.get(there.to_str().unwrap(), Path::new("output"), &mut output).unwrap();
        serving.join().unwrap();
        assert!(output == bytes);
    }
    assert_eq!(names(folder.path()).len(), 2);
}

#[test]
fn a_link_keeps_its_place_and_its_target_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (target, link) = (folder.path().join("target"), folder.path().join("link"));
    fs::write(&target, "old").unwrap();
    symlink("target", &link).unwrap();
    put(&link, 0o644, b"new").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read(&target).unwrap(), b"new");
}

#[test]
fn files_that_cannot_be_are_refused_with_their_names_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let big = pattern(2 << 20);
    for (path, word) in [
        (folder.path().join("no/file"), "No such file"),
        (folder.path().to_owned(), "folder"),
        ("/dev/null".into(), "not a regular file"),
        ("/".into(), "folder"),
    ] {
        // Much is on its way when the agent has long refused.
        let refused = refusal(put(&path, 0o644, &big));
        assert!(refused.message.contains(word), "{refused:?}");
        assert!(refused.message.starts_with(path.to_str().unwrap()), "{refused:?}");
    }
    let to = folder.path().join("to");
    for path in [folder.path().join("nothing"), folder.path().to_owned()] {
        let refused = refusal(get_file(&path, &to));
        assert!(refused.message.starts_with(path.to_str().unwrap()), "{refused:?}");
    }
    let here = folder.path().join("no/to");
    let failed = get_file(Path::new("/etc/passwd"), &here).unwrap_err();
    assert!(matches!(failed, ClientError::Local { .. }), "{failed}");
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn a_host_that_goes_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "old").unwrap();
    let (near, serving) = raw();
    let request = serde_json::json!({
        "version": 1, "action": { "write": { "path": path, "mode": 0o644 } }
    });
    crate::frame::write(&near, crate::frame::Kind::Request, request.to_string().as_bytes())
        .unwrap();
    crate::frame::write(&near, crate::frame::Kind::Data, b"half of").unwrap();
    drop(near);
    serving.join().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(names(folder.path()), ["file"]);
}
