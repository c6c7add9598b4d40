//! Moving whole pages from a file into a memfd inside the kernel.
//!
//! A frame that a window waits for must appear in the page cache at once and whole. A `pwrite`
//! from a buffer does that nearly always: when the buffer's page happens to be gone just then (the
//! kernel swapped or moved it), `generic_perform_write` copies a part, and `shmem_write_end`
//! shows the rest as zeros until the next round. A splice copies from a page that the kernel holds,
//! which cannot be gone.

#![expect(unsafe_code, reason = "pipe2 and splice need raw system calls")]

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsRawFd, FromRawFd};

use crate::gfn::PAGE_SIZE;

/// A pipe that holds at most one page, and nothing between two calls.
#[derive(Debug)]
pub(super) struct PagePipe {
    output: File,
    input: File,
}

impl PagePipe {
    /// Makes the pipe.
    pub(super) fn new() -> io::Result<Self> {
        let mut fds = [-1; 2];
        // SAFETY: pipe2 fills an array of two file descriptors.
        if unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) } < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just returned both, and nobody else knows them.
        Ok(unsafe { Self { output: File::from_raw_fd(fds[0]), input: File::from_raw_fd(fds[1]) } })
    }

    /// Copies the page at `from_offset` of one file to `to_offset` of another. The page appears
    /// there in one step.
    pub(super) fn copy_page(
        &mut self,
        from: &File,
        from_offset: u64,
        to: &File,
        to_offset: u64,
    ) -> io::Result<()> {
        let mut held = 0;
        let moved = self.fill(from, from_offset, &mut held).and_then(|()| {
            let (source, target) = (self.output.as_raw_fd(), to.as_raw_fd());
            let written = splice(source, None, target, Some(to_offset), held)?;
            held -= written;
            if held == 0 { Ok(()) } else { Err(ErrorKind::WriteZero.into()) }
        });
        if held > 0 {
            // What is left must not become the beginning of the next page.
            let mut rest = vec![0; held];
            (&self.output).read_exact(&mut rest)?;
        }
        moved
    }

    fn fill(&self, from: &File, offset: u64, held: &mut usize) -> io::Result<()> {
        while *held < PAGE_SIZE {
            let at = offset + *held as u64;
            let (source, target) = (from.as_raw_fd(), self.input.as_raw_fd());
            match splice(source, Some(at), target, None, PAGE_SIZE - *held)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                bytes => *held += bytes,
            }
        }
        Ok(())
    }
}

/// splice(2), again when a signal disturbed it. Returns the bytes moved.
fn splice(
    from: i32,
    from_offset: Option<u64>,
    to: i32,
    to_offset: Option<u64>,
    len: usize,
) -> io::Result<usize> {
    let mut from_offset = from_offset.map(|offset| offset as libc::loff_t);
    let mut to_offset = to_offset.map(|offset| offset as libc::loff_t);
    loop {
        // SAFETY: the offsets are null or point at values that live across the call.
        let moved = unsafe {
            libc::splice(
                from,
                from_offset.as_mut().map_or(std::ptr::null_mut(), std::ptr::from_mut),
                to,
                to_offset.as_mut().map_or(std::ptr::null_mut(), std::ptr::from_mut),
                len,
                0,
            )
        };
        match usize::try_from(moved) {
            Ok(moved) => return Ok(moved),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}
