//! What compiled Rust expects to find in every program, and a freestanding one must bring along.
//! The moves are the string instructions, which no compiler turns back into a call of itself.
#![expect(unsafe_code, reason = "these are the C library's symbols, with its contracts")]

use core::arch::asm;
use core::ffi::c_int;

/// Ends in an exception that nobody handles.
pub(crate) fn crash() -> ! {
    // SAFETY: the instruction does not return, and touches nothing before it traps.
    unsafe { asm!("ud2", options(noreturn, nomem, nostack)) }
}

/// Copies `n` bytes; the ranges do not overlap.
///
/// # Safety
/// As in C: `from` is readable and `to` writable for `n` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    // SAFETY: the caller vouches for both ranges; the direction flag is clear by the ABI.
    unsafe {
        asm!("rep movsb", inout("rcx") n => _, inout("rdi") to => _, inout("rsi") from => _,
             options(nostack, preserves_flags));
    }
    to
}

/// Copies `n` bytes; the ranges may overlap.
///
/// # Safety
/// As for [`memcpy`].
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    if to.addr().wrapping_sub(from.addr()) >= n {
        // SAFETY: copying upwards, no byte is written before it is read; the rest by the caller.
        return unsafe { memcpy(to, from, n) };
    }
    // SAFETY: the caller vouches for both ranges, of which these are the last bytes (`n` is not 0
    // here); the direction flag is cleared again before anything else runs.
    unsafe {
        asm!("std", "rep movsb", "cld",
             inout("rcx") n => _,
             inout("rdi") to.wrapping_add(n - 1) => _,
             inout("rsi") from.wrapping_add(n - 1) => _,
             options(nostack));
    }
    to
}

/// Sets `n` bytes to `value`.
///
/// # Safety
/// As in C: `to` is writable for `n` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: c_int, n: usize) -> *mut u8 {
    // SAFETY: the caller vouches for the range; the direction flag is clear by the ABI.
    unsafe {
        asm!("rep stosb", inout("rcx") n => _, inout("rdi") to => _, in("al") value as u8,
             options(nostack, preserves_flags));
    }
    to
}

/// Compares `n` bytes.
///
/// # Safety
/// As in C: both are readable for `n` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> c_int {
    for offset in 0..n {
        // SAFETY: the caller vouches for both ranges. Volatile, so that the loop stays a loop.
        let (a, b) = unsafe { (a.add(offset).read_volatile(), b.add(offset).read_volatile()) };
        if a != b {
            return c_int::from(a) - c_int::from(b);
        }
    }
    0
}

/// Compares `n` bytes for equality.
///
/// # Safety
/// As for [`memcmp`].
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> c_int {
    // SAFETY: the contract is the same.
    unsafe { memcmp(a, b, n) }
}

/// The unwinder's part, which `core` refers to and nothing calls: a panic ends the guest.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {
    crash()
}
