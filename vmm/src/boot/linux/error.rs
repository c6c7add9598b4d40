//! What can be wrong with a Linux kernel, its initrd or its command line.

use thiserror::Error;
use vm_memory::GuestMemoryError;

use super::Protocol;
use crate::kvm::KvmError;

/// Why a Linux guest does not boot.
#[derive(Debug, Error)]
pub enum LinuxError {
    /// Neither an ELF file nor a bzImage.
    #[error(
        "the kernel is neither an ELF file (vmlinux) nor a bzImage: give the file that the \
         distribution installs as /boot/vmlinuz-*, or the vmlinux of a kernel build"
    )]
    NotAKernel,
    /// A compressed file.
    #[error(
        "the kernel is {what} file: unpack it and give the vmlinux that is in it, or give the \
         bzImage of the same build"
    )]
    Compressed {
        /// Which compression, with its article.
        what: &'static str,
    },
    /// The kernel is for another machine.
    #[error(
        "the kernel is an ELF file of class {class}, data {data}, machine {machine}: it must be \
         64-bit (2), little-endian (1), x86-64 (62)"
    )]
    WrongMachine {
        /// EI_CLASS.
        class: u8,
        /// EI_DATA.
        data: u8,
        /// e_machine.
        machine: u16,
    },
    /// An ELF file, but not an executable with fixed addresses.
    #[error(
        "the kernel has ELF type {kind}, a vmlinux has type 2 (executable): give the vmlinux of \
         the top folder of a kernel build, not an object, a module or a library"
    )]
    NotExecutable {
        /// e_type.
        kind: u16,
    },
    /// The file ends early.
    #[error("the kernel is cut off: {what} ends at byte {end:#x} of {len:#x}: get it again")]
    Truncated {
        /// Which part.
        what: &'static str,
        /// Where the part would end, in bytes.
        end: u64,
        /// Length of the file in bytes.
        len: u64,
    },
    /// A header contradicts itself.
    #[error("the kernel's {what} is malformed: get it again")]
    Malformed {
        /// Which part.
        what: &'static str,
    },
    /// An old or a 32-bit bzImage.
    #[error(
        "the bzImage has no 64-bit entry (boot protocol {major}.{minor:02}, xloadflags \
         {xloadflags:#x}): build it with CONFIG_X86_64, Linux 3.8 or later"
    )]
    No64BitEntry {
        /// Boot protocol version, high part.
        major: u16,
        /// Boot protocol version, low part.
        minor: u16,
        /// xloadflags; bit 0 is the 64-bit entry.
        xloadflags: u16,
    },
    /// The file does not offer the protocol that was asked for.
    #[error("the kernel cannot be booted by {protocol}: {reason}")]
    Protocol {
        /// What was asked for.
        protocol: Protocol,
        /// What the file lacks, and what to do.
        reason: &'static str,
    },
    /// The kernel does not fit into memory.
    #[error(
        "the kernel needs {start:#x}..{end:#x} of guest memory, where {first:#x}..{room_end:#x} is \
         free: give the guest more memory (--memory)"
    )]
    KernelOutsideRam {
        /// First address that the kernel needs.
        start: u64,
        /// End of what it needs.
        end: u64,
        /// First address that it could have.
        first: u64,
        /// End of what it could have.
        room_end: u64,
    },
    /// The entry is outside the kernel.
    #[error("the kernel's {protocol} entry {entry:#x} is not in the kernel: get it again")]
    BadEntry {
        /// Which entry.
        protocol: Protocol,
        /// Its address.
        entry: u64,
    },
    /// The initrd does not fit beside the kernel.
    #[error(
        "the initrd of {len_bytes} bytes does not fit between the kernel, which ends at \
         {kernel_end:#x}, and {room_end:#x}: give the guest more memory (--memory)"
    )]
    InitrdTooLarge {
        /// Its length in bytes.
        len_bytes: u64,
        /// Where the kernel ends.
        kernel_end: u64,
        /// End of the memory that it could have.
        room_end: u64,
    },
    /// The initrd is empty.
    #[error("the initrd is empty: leave it out, or give a cpio archive")]
    EmptyInitrd,
    /// The command line is too long.
    #[error("the command line has {len_bytes} bytes, the kernel takes {most}: shorten it")]
    CommandLineTooLong {
        /// Its length in bytes.
        len_bytes: usize,
        /// The most that the kernel takes.
        most: usize,
    },
    /// The command line holds something that is not a printable ASCII character.
    #[error("the command line has byte {byte:#04x} at {at}: use printable ASCII characters only")]
    CommandLineByte {
        /// The byte.
        byte: u8,
        /// Where it is, from 0.
        at: usize,
    },
    /// There is no randomness to be had for the seed.
    #[error("getting a random seed for the guest: {0}")]
    Seed(#[source] std::io::Error),
    /// There are more devices than the machine has interrupts for.
    #[error("{devices} virtio devices: a guest can have {most}")]
    TooManyDevices {
        /// How many there are.
        devices: usize,
        /// The most possible.
        most: usize,
    },
    /// A structure could not be written to RAM.
    #[error("writing the {what} at {address:#x}: {source}")]
    Write {
        /// Which structure.
        what: &'static str,
        /// Where, guest-physical.
        address: u64,
        /// Why not.
        source: GuestMemoryError,
    },
    /// The loader refused what the checks before it let through.
    #[error("loading the kernel: {0}")]
    Loader(#[from] linux_loader::loader::Error),
    /// vCPU 0 did not take its first registers.
    #[error("vCPU 0 at the kernel's entry: {0}")]
    Entry(#[from] KvmError),
}
