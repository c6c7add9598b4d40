//! Kernels made by hand, and whole guests in memory.

use pincow_mmu::host::WindowMemory;
use vm_memory::{Bytes, GuestAddress};

use super::*;

pub(super) const RAM: u64 = 64 << 20;

pub(super) fn memory(len_bytes: u64) -> WindowMemory {
    pincow_mmu::host::anonymous(len_bytes as usize).unwrap()
}

pub(super) fn read<const N: usize>(memory: &WindowMemory, address: u64) -> [u8; N] {
    let mut bytes = [0; N];
    memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
    bytes
}

pub(super) fn read_u32(memory: &WindowMemory, address: u64) -> u32 {
    u32::from_le_bytes(read(memory, address))
}

pub(super) fn read_u64(memory: &WindowMemory, address: u64) -> u64 {
    u64::from_le_bytes(read(memory, address))
}

/// What an ELF kernel of one segment at 16 MiB says of itself.
#[derive(Clone)]
pub(super) struct ElfParts {
    pub(super) entry: u64,
    pub(super) physical: u64,
    pub(super) code: Vec<u8>,
    pub(super) memory_len: u64,
    /// A note that names this PVH entry.
    pub(super) pvh: Option<u32>,
}

impl Default for ElfParts {
    fn default() -> Self {
        let code = b"kernel code".repeat(100);
        let memory_len = 0x2000;
        ElfParts { entry: 16 << 20, physical: 16 << 20, code, memory_len, pvh: None }
    }
}

impl ElfParts {
    pub(super) fn build(&self) -> Vec<u8> {
        let note: Vec<u8> = match self.pvh {
            None => Vec::new(),
            Some(entry) => [4, 4, 18]
                .map(u32::to_le_bytes)
                .concat()
                .into_iter()
                .chain(*b"Xen\0")
                .chain(entry.to_le_bytes())
                .collect(),
        };
        let (segments, notes_at) = (1 + u16::from(self.pvh.is_some()), 0x200_u64);
        let code_at = 0x400_u64;
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        file.extend([2, 0, 62, 0, 1, 0, 0, 0]);
        for word in [self.entry, 64, 0] {
            file.extend(word.to_le_bytes());
        }
        file.extend([0, 0, 0, 0, 64, 0, 56, 0]);
        file.extend(segments.to_le_bytes());
        file.extend([0; 6]);
        let header = |kind: u32, flags: u32, offset: u64, at: u64, len: u64, memory: u64| {
            let mut header = [kind.to_le_bytes(), flags.to_le_bytes()].concat();
            for word in [offset, at | 0xffff_ffff_8000_0000, at, len, memory, 4] {
                header.extend(word.to_le_bytes());
            }
            header
        };
        let len = self.code.len() as u64;
        file.extend(header(1, 5, code_at, self.physical, len, self.memory_len));
        if self.pvh.is_some() {
            let len = note.len() as u64;
            file.extend(header(4, 4, notes_at, self.physical, len, len));
        }
        file.resize(notes_at as usize, 0);
        file.extend(note);
        file.resize(code_at as usize, 0);
        file.extend(&self.code);
        file
    }
}

/// A bzImage of `kernel_len` bytes after one sector of real-mode code.
pub(super) fn bzimage(kernel_len: usize) -> (Vec<u8>, setup_header) {
    let header = setup_header {
        setup_sects: 1,
        syssize: kernel_len.div_ceil(16) as u32,
        boot_flag: 0xaa55,
        header: 0x5372_6448,
        version: 0x20f,
        loadflags: 1,
        code32_start: 0x10_0000,
        initrd_addr_max: 0x7fff_ffff,
        kernel_alignment: 0x20_0000,
        relocatable_kernel: 1,
        xloadflags: 1,
        cmdline_size: 2047,
        pref_address: 16 << 20,
        init_size: 8 << 20,
        ..Default::default()
    };
    (with_header(&header, kernel_len), header)
}

pub(super) fn with_header(header: &setup_header, kernel_len: usize) -> Vec<u8> {
    use vm_memory::ByteValued;
    let mut file = vec![0; 1024];
    let at = bzimage::HEADER as usize;
    file[at..at + size_of::<setup_header>()].copy_from_slice(header.as_slice());
    file.extend((0..kernel_len).map(|at| (at % 251) as u8));
    file
}

fn hardware(vcpus: u32) -> Hardware {
    Hardware { ram_bytes: RAM, vcpus, virtio: vec![layout::virtio_place(0)] }
}

fn system(kernel: Vec<u8>) -> Linux {
    let initrd = Some(b"initrd".repeat(1000));
    Linux { kernel, initrd, command_line: "console=ttyS0".to_owned(), protocol: None }
}

#[test]
fn each_kind_of_file_is_entered_as_it_offers() {
    let elf = ElfParts::default();
    let with_pvh = ElfParts { pvh: Some((16 << 20) + 0x80), ..elf.clone() };
    let (bz, _) = bzimage(5000);
    let entry_of = |kernel: Vec<u8>, protocol| {
        let ram = memory(RAM);
        load(&ram, &hardware(2), &Linux { protocol, ..system(kernel) }).unwrap()
    };
    let linux64 = |address| Entry { protocol: Protocol::Linux64, address };
    let pvh = |address| Entry { protocol: Protocol::Pvh, address };
    assert_eq!(entry_of(elf.build(), None), linux64(16 << 20));
    assert_eq!(entry_of(with_pvh.build(), None), pvh((16 << 20) + 0x80));
    assert_eq!(entry_of(with_pvh.build(), Some(Protocol::Linux64)), linux64(16 << 20));
    assert_eq!(entry_of(bz, None), linux64((16 << 20) + 0x200));
}

#[test]
fn all_that_a_kernel_needs_is_where_it_is_told() {
    let ram = memory(RAM);
    let (bz, _) = bzimage(5000);
    load(&ram, &hardware(1), &system(bz)).unwrap();
    let zero_page = layout::ZERO_PAGE;
    let (initrd, len) = (read_u32(&ram, zero_page + 0x218), read_u32(&ram, zero_page + 0x21c));
    assert_eq!(len, 6000);
    assert!(initrd % 4096 == 0 && u64::from(initrd) + 6000 <= RAM);
    assert_eq!(&read::<6>(&ram, initrd.into()), b"initrd");
    let command_line = u64::from(read_u32(&ram, zero_page + 0x228));
    assert_eq!(&read::<14>(&ram, command_line), b"console=ttyS0\0");
    let root = read_u64(&ram, zero_page + 0x70);
    assert_eq!(&read::<8>(&ram, root), b"RSD PTR ");
    let seed = read_u64(&ram, zero_page + 0x250);
    assert_eq!((read_u64(&ram, seed), read_u32(&ram, seed + 8)), (0, 9));
    assert_eq!(read_u32(&ram, seed + 12), 32);
    let random: [u8; 32] = read(&ram, seed + 16);
    assert_ne!(random, [0; 32]);
    let again = memory(RAM);
    load(&again, &hardware(1), &system(bzimage(5000).0)).unwrap();
    assert_ne!(read::<32>(&again, seed + 16), random, "two guests, one seed");
}

#[test]
fn page_tables_map_each_address_to_itself() {
    let ram = memory(RAM);
    paging::write(&ram).unwrap();
    for address in [0_u64, 0x1000, 16 << 20, RAM - 1, 0xd000_0000, 0xfee0_0000, 0xffff_ffff] {
        let frame = |entry: u64| entry & 0x000f_ffff_ffff_f000;
        let pointers = frame(read_u64(&ram, paging::PML4 + (address >> 39 & 511) * 8));
        let directory = frame(read_u64(&ram, pointers + (address >> 30 & 511) * 8));
        let page = read_u64(&ram, directory + (address >> 21 & 511) * 8);
        assert_eq!(page & 0x83, 0x83, "{address:#x}");
        assert_eq!(frame(page) | address & 0x1f_ffff, address);
    }
}
