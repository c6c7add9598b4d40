//! From the monitor's entry state to Rust, and round the command loop.
#![expect(unsafe_code, reason = "the entry point has a name that the linker looks for")]

use core::arch::naked_asm;
use core::fmt::Write;

use crate::commands::Vcpu;
use crate::mailbox::Mailbox;
use crate::ram::Ram;
use crate::serial::Serial;

/// Where every vCPU starts: `rdi` its number, `rsi` bytes of RAM, `rdx` how many vCPUs there are,
/// `rsp` the end of its stack.
// SAFETY: no other function of the image has this name.
#[unsafe(no_mangle)]
#[unsafe(naked)]
extern "C" fn _start() -> ! {
    // The call leaves the stack as the ABI wants it at a function's first instruction.
    naked_asm!("xor ebp, ebp", "cld", "call {main}", "ud2", main = sym main)
}

extern "C" fn main(vcpu: usize, ram_bytes: u64, vcpus: usize) -> ! {
    if vcpu == 0 {
        let plural = if vcpus == 1 { "" } else { "s" };
        let mib = ram_bytes >> 20;
        // The serial line takes everything.
        let _ = writeln!(Serial, "pincow guest: {vcpus} vCPU{plural}, {mib} MiB");
    }
    let mailbox = Mailbox::new(vcpu);
    let mut this = Vcpu::new(vcpu, Ram::new(vcpu, ram_bytes));
    mailbox.report_ready();
    loop {
        let answer = this.answer(mailbox.next());
        mailbox.reply(answer);
    }
}
