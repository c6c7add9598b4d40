//! What each of several children gets.

use super::*;

fn args(count: u32, serial: Option<&str>, nets: &[&str]) -> OwnArgs {
    let nets = nets.iter().map(|net| net.parse().unwrap()).collect();
    let serial = serial.map(PathBuf::from);
    OwnArgs { count, serial, nets, vsock: None, hostname: None }
}

#[test]
fn each_child_gets_files_and_taps_with_its_number() {
    let own =
        args(2, Some("/tmp/child-{}.log"), &["tap=t{},mac=02:00:00:00:00:07"]).each().unwrap();
    assert_eq!(own[1].serial, Some(PathBuf::from("/tmp/child-2.log")));
    assert_eq!((own[0].nets[0].tap.as_str(), own[1].nets[0].tap.as_str()), ("t1", "t2"));
    assert_eq!(own[0].nets[0].mac.unwrap().to_string(), "02:00:00:00:00:07");
}

#[test]
fn a_path_is_told_from_the_folder_of_the_command() {
    let own = args(1, Some("log"), &["tap=t"]).each().unwrap();
    assert_eq!(own[0].serial, Some(std::env::current_dir().unwrap().join("log")));
    assert_eq!(args(1, None, &[]).each().unwrap(), [Own::default()]);
}

#[test]
fn each_child_gets_sockets_with_its_number() {
    let vsock = Some("cid=7,uds=/tmp/child-{}.sock".parse().unwrap());
    let own = OwnArgs { vsock, ..args(2, None, &[]) }.each().unwrap();
    let sockets: Vec<_> = own.into_iter().map(|own| own.vsock.unwrap()).collect();
    assert_eq!(sockets[1].uds, PathBuf::from("/tmp/child-2.sock"));
    assert_eq!((u32::from(sockets[0].cid), u32::from(sockets[1].cid)), (7, 7));
    let vsock = Some("cid=7,uds=one.sock".parse().unwrap());
    let shared = OwnArgs { vsock, ..args(2, None, &[]) }.each().unwrap_err();
    assert!(shared.to_string().contains("{}"), "{shared}");
}

#[test]
fn several_children_do_not_share_a_file_or_tap() {
    for shared in [args(2, Some("/tmp/log"), &[]), args(2, None, &["tap=a{}", "tap=b"])] {
        assert!(shared.each().unwrap_err().to_string().contains("{}"));
    }
}
