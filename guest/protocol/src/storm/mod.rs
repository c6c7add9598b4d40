//! The storm: a guest that keeps many disk transfers in flight, and verifies every byte of them,
//! and of the memory beside their buffers.
//!
//! - Each sector that it writes says who wrote it and when ([`sector`](super::sector)); a
//!   [shadow](Shadow) in RAM knows what each sector of the region must hold. No two transfers in
//!   flight share a sector.
//! - Buffers have random sizes, places and segments. Before, between and after the segments lie
//!   [stamps] that the CPU verifies and writes anew all the while, in the very pages that
//!   devices read and write.
//! - Some [pages](Lent) are given up from time to time, for the monitor to discard.
//! - What is not as it must be is a [`Finding`], counted in the control page by [kind](FindingKind).
//!
//! All state is in RAM and in the driver's place, so a fork takes it along, with transfers in
//! flight. The choices follow from the seed, from the salts (so that two sides of a fork part), and
//! from the order in which transfers end.

mod buffer;
mod finding;
mod lent;
mod plan;
mod run;
mod shadow;
mod slot;
pub mod stamps;
mod transfer;
mod verify;
mod view;
pub mod words;

#[cfg(test)]
mod tests;

pub use finding::{Finding, FindingKind, Judge};
pub use lent::Lent;
pub use plan::Plan;
pub use run::{Storm, StormError, Totals};
pub use shadow::{Expected, Shadow};
pub use view::StormView;
