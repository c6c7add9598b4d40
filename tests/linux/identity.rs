//! A copy of a Linux guest is told that it is one, and is no twin: neither by its random numbers nor by its
//! clock.

use std::time::{SystemTime, UNIX_EPOCH};

use pincow_vmm::boot::linux::Linux;
use pincow_vmm::boot::linux::layout::{GENERATION_ID, GENERATION_IRQ};

use super::console::Console;
use super::fork::{Side, ask, fork, has_a_clean_log, side, uptime};
use super::lab::linux_of;
use crate::Lab;

/// The generation ID, as the guest reads it in its memory.
fn in_memory(side: &Side) -> String {
    let skip = GENERATION_ID / 16;
    let read = format!("dd if=/dev/mem bs=16 skip={skip} count=1 2>/dev/null");
    ask(side, &format!("{read} | hexdump -v -e '/1 \"%02x\"'; echo"))
}

/// How often the guest was interrupted for a new generation ID, on all vCPUs.
fn interrupts(side: &Side) -> u32 {
    let line = ask(side, &format!("grep '^ *{GENERATION_IRQ}:.*ACPI:Ged' /proc/interrupts"));
    let counts = line.split_whitespace().skip(1).map_while(|word| word.parse::<u32>().ok());
    assert!(line.contains("ACPI:Ged"), "{line}\n{}", side.1.text());
    counts.sum()
}

#[test]
fn each_copy_has_a_generation_id_of_its_own_and_is_interrupted_once() {
    let Some(lab) = Lab::new() else { return };
    let parent = side(lab.boot(&lab.linux("bzImage", None), 2, Vec::new()));
    assert_eq!(interrupts(&parent), 0);
    let first = parent.0.machine().generation_id();
    let child = fork(&parent.0);
    // Two edges become one interrupt where the first was not taken yet.
    assert_eq!(interrupts(&child), 1);
    let grandchild = fork(&child.0);
    let (snapshot, _) = parent.0.snapshot().expect("a snapshot");
    let clone = || {
        let console = Console::default();
        let guest = snapshot.spawn(console.sink()).expect("a clone");
        guest.machine().start().expect("it starts");
        side((guest, console))
    };
    let sides = [parent, child, grandchild, clone(), clone()];
    let mut seen = Vec::new();
    for (number, (side, told)) in sides.iter().zip([0, 1, 2, 1, 1]).enumerate() {
        let id = side.0.machine().generation_id().expect("a PC has one").to_string();
        assert_eq!(in_memory(side), id, "side {number}");
        assert_eq!(interrupts(side), told, "side {number}");
        assert!(!seen.contains(&id), "side {number}: {id} and {seen:?}");
        seen.push(id);
        has_a_clean_log(side);
    }
    assert_eq!(sides[0].0.machine().generation_id(), first, "the parent's stays");
    println!("{seen:?}");
}

impl Lab {
    /// The small kernel, which has a driver for the generation ID, with an initrd of its own. `None`
    /// where it was not compiled.
    pub(crate) fn small(&self) -> Option<Linux> {
        let folder = self.images.join("small");
        if !folder.join("bzImage").exists() {
            eprintln!("skipped: no small kernel in {} (images/build small)", folder.display());
            return None;
        }
        Some(linux_of(&folder, "bzImage", None))
    }
}

/// What the kernel says when it has learnt that it is a copy.
const RESEEDED: &str = "crng reseeded due to virtual machine fork";

/// Looks at the clocks all the time. A line in /tmp/clock is a finding: that the time since the start has
/// gone back, or that it and the time of day went on differently.
const WATCH_CLOCKS: &str = "mount -t tmpfs none /tmp; (awk 'BEGIN { \
    while ((getline < \"/proc/uptime\") > 0) { close(\"/proc/uptime\"); now = systime(); system(\"usleep 50000\"); \
    if ($1 < last) print \"back\", last, $1 >>\"/tmp/clock\"; last = $1; \
    if (!n++) start = now - last; drift = now - last - start; \
    if (drift > 2 || drift < -2) print \"apart\", drift >>\"/tmp/clock\" } }') & sleep 1";

/// Random bytes of the kernel's, as many as two sides never have in common by chance.
fn random(side: &Side) -> String {
    ask(side, "head -c 16 /dev/urandom | hexdump -v -e '/1 \"%02x\"'; echo")
}

/// How often the kernel has reseeded its generator because it is a copy.
fn reseeded(side: &Side) -> usize {
    let count = ask(side, &format!("dmesg | grep -c '{RESEEDED}'"));
    count.parse().expect("a number")
}

fn has_right_clocks(side: &Side) {
    let seconds = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let before = seconds();
    let told: u64 = ask(side, "date +%s").parse().expect("a number");
    let after = seconds();
    // A second is what a clock may lose that counts whole ones.
    assert!((before - 2..=after + 2).contains(&told), "{told}, not in {before}..={after}");
    assert_eq!(ask(side, "cat /tmp/clock 2>/dev/null"), "");
    assert_ne!(ask(side, "pidof awk"), "", "nobody watches the clocks");
}

#[test]
fn a_kernel_that_knows_generation_ids_is_no_twin_of_its_parent() {
    let Some(lab) = Lab::new() else { return };
    let Some(linux) = lab.small() else { return };
    let parent = side(lab.boot(&linux, 2, Vec::new()));
    ask(&parent, WATCH_CLOCKS);
    assert_eq!(interrupts(&parent), 0);
    // The second child, and a grandchild whose parent may not have heard yet what it is.
    let first = fork(&parent.0);
    let before = uptime(&parent);
    let second = fork(&parent.0);
    let grandchild = fork(&second.0);
    let sides = [parent, first, second, grandchild];
    let mut seen = Vec::new();
    for (number, side) in sides.iter().enumerate() {
        let told = interrupts(side);
        assert_eq!(told > 0, number > 0, "side {number}: {told}");
        if number > 0 {
            until(side, || reseeded(side) > 0);
        }
        let id = side.0.machine().generation_id().expect("a PC has one").to_string();
        assert_eq!(in_memory(side), id, "side {number}");
        seen.extend([id, random(side), random(side)]);
        assert!(number == 1 || uptime(side) >= before, "side {number}: the time goes back");
        ask(side, "sleep 2");
        has_right_clocks(side);
        has_a_clean_log(side);
    }
    assert_eq!(reseeded(&sides[0]), 0, "the parent is no copy");
    println!("{seen:?}");
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), all);
}

/// What the kernel does in a thread of its own comes a moment later.
fn until(side: &Side, what: impl Fn() -> bool) {
    for _ in 0..60 {
        if what() {
            return;
        }
        ask(side, "sleep 1");
    }
    panic!("it does not come:\n{}", ask(side, "dmesg"));
}
