//! What a script asks of a space around an access of a real CPU, which tells nobody what it meets.

use crate::backing::Backing;
use crate::error::SpaceError;
use crate::gfn::Gfn;
use crate::rules::RuleSet;
use crate::space::AddressSpace;

/// To be called before a CPU's write, and before a device's request whose pin takes the write fault.
/// Neither can be called back: a write that has to wait would sit in its fault, and a request at its
/// device, until the pins are gone, and a script drains them only when it is told.
///
/// # Errors
/// [`SpaceError::Wait`] when it would have to wait, [`SpaceError::OutOfRange`], or what the host said.
pub fn before_write<B: Backing>(space: &AddressSpace<B>, gfn: Gfn) -> Result<(), SpaceError> {
    if space.family().rules().set == RuleSet::Wait {
        space.fault(gfn, false)?;
        if space.write_waits(gfn)? {
            return Err(SpaceError::Wait { gfn });
        }
    }
    Ok(())
}

/// To be called before a CPU's read. While somebody holds an evicted frame, it is still in memory,
/// and a read would go through without a fault that tells the rules.
///
/// # Errors
/// [`SpaceError::OutOfRange`], or what the host said.
pub fn before_read<B: Backing>(space: &AddressSpace<B>, gfn: Gfn) -> Result<(), SpaceError> {
    if space.in_swap_cache(gfn)? {
        space.fault(gfn, false)?;
    }
    Ok(())
}

/// Waits until the answer to an access's fault is in the books. The access itself goes on as soon as
/// the page is shown, which is a moment before.
///
/// # Errors
/// [`SpaceError::OutOfRange`].
pub fn settle<B: Backing>(space: &AddressSpace<B>, gfn: Gfn) -> Result<(), SpaceError> {
    // Whoever answers holds the space's lock until everything is counted; this takes it, too.
    space.write_waits(gfn).map(drop)
}
