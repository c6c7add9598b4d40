//! A copy of a Linux guest is told that it is one.

use pincow_vmm::boot::linux::layout::{GENERATION_ID, GENERATION_IRQ};

use super::console::Console;
use super::fork::{Side, ask, fork, has_a_clean_log, side};
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
