//! Where random bytes come from.

#![expect(unsafe_code, reason = "getrandom is given an array by address")]

use std::io;

/// A source of random bytes.
pub trait Entropy: Send {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// When there are none to be had.
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()>;
}

/// The host kernel's generator, by getrandom(2). Waits for it while the host boots, and never later.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostEntropy;

impl Entropy for HostEntropy {
    fn fill(&mut self, mut bytes: &mut [u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            // SAFETY: the kernel writes to `bytes` only, which is as long as is said.
            let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
            let Ok(filled) = usize::try_from(filled) else {
                let error = io::Error::last_os_error();
                if error.kind() == io::ErrorKind::Interrupted {
                    continue;
                }
                return Err(error);
            };
            let rest = bytes.split_at_mut_checked(filled).ok_or(io::ErrorKind::InvalidData)?;
            bytes = rest.1;
        }
        Ok(())
    }
}
