//! What a panic does: a message on the serial line, and the end of the guest.

use core::fmt::Write;
use core::panic::PanicInfo;

use pincow_guest_protocol::command::EXIT_PANIC;

use crate::mailbox;
use crate::serial::Serial;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // The serial line takes everything, and a panic has nobody else to tell.
    let _ = writeln!(Serial, "pincow guest: {info}");
    mailbox::exit(EXIT_PANIC)
}
