//! Guest memory as reference-counted page frames.

pub mod backing;
pub mod gfn;
pub mod host;
pub mod scenario;

pub use backing::{Access, Backing, BackingError, SwapPlace};
pub use gfn::{Gfn, PAGE_SIZE, Run};
