//! A guest that talks is forked, and each side answers on a tap of its own, in a network of its own.

use pincow_vmm::guest::{ChildConfig, ChildNet, Guest, GuestConfig, NetConfig};
use pincow_vmm::virtio::net::Mac;

use super::console::Console;
use crate::Lab;

mod network;

pub(crate) use network::{HOST, Network};

/// The address of its guests.
pub(crate) const GUEST: &str = "10.7.0.2";
const MACS: [&str; 3] = ["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"];

fn mac(text: &str) -> Mac {
    text.parse().expect("an address")
}

/// Frames in both directions all the time: questions of the guest, and answers.
fn talk() -> String {
    format!(
        "ip address add {GUEST}/24 dev eth0; ip link set eth0 up; \
         (while :; do ping -q -c 5 -s 1400 -i 0.2 {HOST} >/tmp/round; mv /tmp/round /tmp/talk; done) & sleep 1"
    )
}

/// One side of a fork.
struct Side {
    guest: std::sync::Arc<Guest>,
    console: Console,
    network: Network,
}

impl Side {
    fn ask(&self, command: &str) -> String {
        self.console.ask(&self.guest, command)
    }

    /// Forks it; the child's card has the address `mac`, and the guest inside is not told yet.
    fn fork(&self, number: usize) -> Self {
        let (network, link) = Network::new(number);
        let console = Console::default();
        let nets = vec![ChildNet { link: Some(link), mac: Some(mac(MACS[number])) }];
        let own = ChildConfig { nets, ..ChildConfig::from(console.sink()) };
        let (child, cut) = self.guest.fork(own).expect("a fork");
        child.machine().start().expect("it starts");
        println!("child {number}: paused {:?}", cut.pause);
        Self { guest: child.into(), console, network }
    }

    /// What answers has the address that the host's neighbour table shows.
    fn answers_as(&self, mac: &str) {
        self.network.ping(GUEST).unwrap_or_else(|said| panic!("{said}\n{}", self.console.text()));
        let neighbours = self.network.run(&["ip", "neigh", "show", "dev", self.network.tap()]);
        assert!(neighbours.contains(mac), "{neighbours}, and not {mac}");
    }
}

#[test]
fn each_side_of_a_fork_answers_in_a_network_of_its_own() {
    let Some(lab) = Lab::new() else { return };
    if !Network::possible() {
        return;
    }
    let (network, link) = Network::new(0);
    let nets = vec![NetConfig { link: Some(link), mac: mac(MACS[0]) }];
    let config = GuestConfig { vcpus: 2, nets, ..Default::default() };
    let (guest, console) = lab.boot_as(&lab.linux("bzImage", None), config);
    let parent = Side { guest: guest.into(), console, network };
    parent.ask(&talk());
    parent.answers_as(MACS[0]);

    let child = parent.fork(1);
    let grandchild = child.fork(2);
    // Linux keeps the address that it knew, until somebody inside sets it.
    for side in [&parent, &child, &grandchild] {
        side.answers_as(MACS[0]);
    }
    for (side, own) in [(&child, MACS[1]), (&grandchild, MACS[2])] {
        side.ask(&format!("ip link set eth0 address {own}"));
        side.network.run(&["ip", "neigh", "flush", "dev", side.network.tap()]);
    }
    for (side, own) in [&parent, &child, &grandchild].into_iter().zip(MACS) {
        side.answers_as(own);
        let talk =
            side.ask("rm -f /tmp/talk; until [ -s /tmp/talk ]; do sleep 1; done; cat /tmp/talk");
        assert!(talk.contains(" 0% packet loss"), "the guest asks on: {talk}");
        side.console.has_a_clean_log(&side.guest);
        println!("{own}: {:?}", side.guest.net_counts());
    }
}
