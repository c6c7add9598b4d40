//! The command line: checked, then written with its final 0.

use linux_loader::cmdline::Cmdline;
use linux_loader::loader::load_cmdline;
use pincow_mmu::host::WindowMemory;
use vm_memory::GuestAddress;

use super::LinuxError;
use super::layout::{COMMAND_LINE, COMMAND_LINE_ROOM};

#[cfg(test)]
mod tests;

/// What kernels take that do not say more: COMMAND_LINE_SIZE of x86, without the final 0.
pub(super) const USUAL_MOST: usize = 2047;

/// Writes `text`, of which the kernel takes `most` bytes; returns how many bytes there are, with the
/// final 0.
pub(super) fn write(memory: &WindowMemory, text: &str, most: usize) -> Result<u32, LinuxError> {
    let most = most.min(COMMAND_LINE_ROOM as usize - 1);
    if text.len() > most {
        return Err(LinuxError::CommandLineTooLong { len_bytes: text.len(), most });
    }
    let strange = |byte: u8| !(b' '..=b'~').contains(&byte);
    if let Some((at, byte)) = text.bytes().enumerate().find(|&(_, byte)| strange(byte)) {
        return Err(LinuxError::CommandLineByte { byte, at });
    }
    let refused = |_| LinuxError::CommandLineTooLong { len_bytes: text.len(), most };
    let mut line = Cmdline::new(most + 1).map_err(refused)?;
    if !text.is_empty() {
        line.insert_str(text).map_err(refused)?;
    }
    load_cmdline(memory, GuestAddress(COMMAND_LINE), &line)?;
    Ok(text.len() as u32 + 1)
}
