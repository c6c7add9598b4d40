//! The load: a guest that keeps a fixed number of disk transfers in flight and has nothing else to
//! do, so that transfers, and forks among them, can be measured.
//!
//! - All transfers have one length, a *block*. Which block each slot takes next, and in which
//!   direction, follows from the seed alone ([`Pattern`]), so that others can do the same and be
//!   compared. No two transfers in flight share a block.
//! - Each [sector](content) says in its first and last word which sector it is and who wrote it; a
//!   shadow in RAM knows what each block must hold. What is read is verified against it, and in the
//!   end what was written is read back.
//! - The only exits are doorbells, and they are counted.
//!
//! All state is in RAM, so a fork takes it along, with transfers in flight, and both sides go on. A
//! [storm](super::storm) verifies far more, and measures nothing.

pub mod content;
mod pattern;
mod plan;
mod run;
mod slot;
mod transfer;
pub mod words;

#[cfg(test)]
mod tests;

pub use pattern::{Next, Pattern};
pub use plan::Plan;
pub use run::{Load, LoadError, Totals};
