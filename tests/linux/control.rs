//! Linux guests under the control of others, through a socket, while they keep their disks busy.

use std::sync::Arc;
use std::time::Duration;

use pincow_vmm::control::session::FIRST;
use pincow_vmm::control::{
    Asking, Client, ClientError, ControlError, GuestState, Made, Own, Request, Response, Server,
    Session,
};
use pincow_vmm::machine::Stopped;

use super::console::{Console, LONG, type_line};
use super::fork::{DISK_WORK, Side, ask, disk, keeps_its_disk, uptime};
use crate::Lab;

/// How long a guest stands still.
const STILL: Duration = Duration::from_secs(3);

/// Children that are killed.
const KILLS: u32 = 8;

fn made(client: &mut Client, request: &Request) -> Made {
    match client.call(request) {
        Ok(Response::Made(made)) => made,
        other => panic!("{other:?}"),
    }
}

fn kill(client: &mut Client, id: u32) -> usize {
    match client.call(&Request::Stop { id, kill: true }) {
        Ok(Response::Stopping(stopping)) => stopping.transfers_in_flight,
        other => panic!("{other:?}"),
    }
}

/// A child whose console can be typed at.
fn child(session: &Session, parent: u32) -> (u32, Side) {
    let console = Console::default();
    let made = session.fork(parent, || Ok(console.sink().into())).expect("a child");
    (made.id, (session.guest(made.id).expect("it lives"), console))
}

#[test]
fn guests_are_paused_and_killed_while_their_relatives_go_on() {
    let Some(lab) = Lab::new() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let disks = vec![disk(&folder.path().join("disk"), 16 << 20)];
    let (guest, console) = lab.boot(&lab.linux("bzImage", None), 2, disks);
    let session = Arc::new(Session::new(guest, Asking::NoWay));
    let path = folder.path().join("socket");
    let _server = Server::start(Arc::clone(&session), &path).expect("a socket");
    let mut client = Client::connect(&path, LONG).expect("it listens");
    let root: Side = (session.guest(FIRST).expect("it lives"), console);
    ask(&root, DISK_WORK);

    let own = Own { serial: Some(folder.path().join("serial")), ..Own::default() };
    let fork = Request::Fork { id: FIRST, own };
    let killed = (0..KILLS).map(|_| {
        let made = made(&mut client, &fork);
        std::thread::sleep(Duration::from_millis(100));
        (made.transfers_in_flight, kill(&mut client, made.id))
    });
    println!("in flight at forks and kills: {:?}", killed.collect::<Vec<_>>());

    let (id, paused) = child(&session, FIRST);
    ask(&paused, "sleep 1");
    let before = uptime(&paused);
    let state = client.call(&Request::Pause { id }).expect("it runs");
    assert_eq!(state, Response::State { id, state: GuestState::Paused });
    std::thread::sleep(STILL);
    client.call(&Request::Resume { id }).expect("it is paused");
    assert!(uptime(&paused) >= before + STILL.as_secs_f64(), "its clock goes on");

    let kept = made(&mut client, &Request::Snapshot { id });
    let clone = made(&mut client, &Request::Spawn { id: kept.id, own: Own::default() });
    for side in [&root, &paused] {
        ask(side, "sleep 2");
        keeps_its_disk(side);
    }
    let asked = client.call(&Request::Stop { id: FIRST, kill: false });
    let no_way = matches!(asked, Err(ClientError::Refused(ControlError::CannotAsk { .. })));
    assert!(no_way, "{asked:?}");
    type_line(&root.0, "poweroff -f");
    assert!(matches!(root.0.machine().wait(), Stopped::PowerOff { .. }));
    drop((root, paused));
    kill(&mut client, id);
    let Ok(Response::Stats(stats)) = client.call(&Request::Stats { id: clone.id }) else {
        panic!("no stats");
    };
    assert_eq!(stats.guest.state, GuestState::Running);
    assert_eq!(stats.disks[0].counts.errors, 0);
    assert!(!session.close_if_over());
    kill(&mut client, clone.id);
    assert!(session.close_if_over());
}
