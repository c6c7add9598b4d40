use super::super::layout::{GENERATION_ID, GENERATION_IRQ, virtio_place};
use super::*;

fn hardware(vcpus: u32, devices: usize) -> Hardware {
    let virtio = (0..devices).map(virtio_place).collect();
    Hardware { ram_bytes: 64 << 20, vcpus, virtio }
}

fn u32_at(tables: &[u8], at: usize) -> usize {
    u32::from_le_bytes(tables[at..at + 4].try_into().unwrap()) as usize
}

fn address_at(tables: &[u8], at: usize) -> usize {
    (u64::from_le_bytes(tables[at..at + 8].try_into().unwrap()) - ACPI) as usize
}

/// The table at `at`, whose signature and checksum are right.
fn table<'a>(tables: &'a [u8], at: usize, signature: &[u8; 4]) -> &'a [u8] {
    let table = &tables[at..at + u32_at(tables, at + 4)];
    assert_eq!(&table[..4], signature);
    if signature != b"FACS" {
        assert_eq!(table.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)), 0);
    }
    table
}

#[test]
fn every_table_is_found_from_the_root() {
    let tables = tables(&hardware(32, VIRTIO_DEVICES), ACPI);
    assert_eq!(&tables[..8], b"RSD PTR ");
    assert_eq!(tables[..20].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)), 0);
    let xsdt = table(&tables, address_at(&tables, 24), b"XSDT");
    assert_eq!(xsdt.len(), 36 + 2 * 8);
    let fadt = table(&tables, address_at(xsdt, 36), b"FACP");
    table(&tables, address_at(xsdt, 44), b"APIC");
    table(&tables, address_at(fadt, 140), b"DSDT");
    let facs = u32_at(fadt, 36) - ACPI as usize;
    assert!(facs.is_multiple_of(64));
    table(&tables, facs, b"FACS");
    assert!(tables.len() <= (GENERATION_ID - ACPI) as usize);
}

#[test]
fn each_vcpu_has_a_local_apic_and_there_is_an_ioapic() {
    let bytes = bytes_of(&madt::table(3));
    let (mut at, mut found) = (44, Vec::new());
    while at < bytes.len() {
        found.push(bytes[at..at + usize::from(bytes[at + 1])].to_vec());
        at += usize::from(bytes[at + 1]);
    }
    assert_eq!(at, bytes.len());
    for vcpu in 0..3 {
        assert_eq!(found[usize::from(vcpu)], [0, 8, vcpu, vcpu, 1, 0, 0, 0]);
    }
    assert_eq!(found[3], [1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0]);
    assert_eq!(found[4], [2, 10, 0, 9, 9, 0, 0, 0, 13, 0]);
    assert_eq!(found[5], [4, 6, 0xff, 0, 0, 1]);
    assert_eq!(found.len(), 6);
}

#[test]
fn a_virtio_device_tells_its_registers_and_its_interrupt() {
    let bytes = bytes_of(&dsdt::table(&hardware(1, 2)));
    let find = |wanted: &[u8]| bytes.windows(wanted.len()).filter(|w| *w == wanted).count();
    assert_eq!(find(b"LNRO0005"), 2);
    for index in 0..2 {
        let place = virtio_place(index);
        let mut registers = vec![0x86, 9, 0, 1];
        registers.extend((place.start as u32).to_le_bytes());
        registers.extend((place.len_bytes as u32).to_le_bytes());
        assert_eq!(find(&registers), 1);
        // Consumer, edge-triggered, active high, exclusive; one interrupt.
        let mut line = vec![0x89, 6, 0, 3, 1];
        line.extend(place.irq.to_le_bytes());
        assert_eq!(find(&line), 1);
    }
    assert_eq!(find(b"_S5_"), 1);
}

#[test]
fn the_generation_id_tells_its_address_and_how_it_changes() {
    let bytes = bytes_of(&dsdt::table(&hardware(1, 0)));
    let find = |wanted: &[u8]| bytes.windows(wanted.len()).filter(|w| *w == wanted).count();
    assert_eq!(find(b"\x08_CID\x0dVM_Gen_Counter\0"), 1);
    // A package of two integers: 32 bits, and 0.
    let address = (GENERATION_ID as u32).to_le_bytes();
    let package = [b"\x08ADDR\x12".as_slice(), &[8, 2, 0x0c], &address, &[0]].concat();
    assert_eq!(find(&package), 1);
    let line = [&[0x89, 6, 0, 3, 1], GENERATION_IRQ.to_le_bytes().as_slice()].concat();
    assert_eq!(find(&line), 1);
    // A method of one argument, serialized, that notifies with 0x80.
    let method = b"\x14\x13_EVT\x09\x86\\\x2e_SB_VGEN\x0a\x80";
    assert_eq!(find(method), 1);
}

#[test]
fn too_many_devices_are_refused() {
    let ram = pincow_mmu::host::anonymous(2 << 20).unwrap();
    write(&ram, &hardware(32, VIRTIO_DEVICES)).unwrap();
    let error = write(&ram, &hardware(1, VIRTIO_DEVICES + 1)).unwrap_err();
    assert!(matches!(error, LinuxError::TooManyDevices { devices: 9, most: 8 }), "{error}");
}
