//! Guest memory as reference-counted page frames.

mod alias;
pub mod audit;
pub mod backing;
pub mod count;
pub mod error;
pub mod fake;
pub mod family;
pub mod gfn;
mod holding;
pub mod host;
pub mod image;
#[cfg(test)]
mod laws;
pub mod layer;
pub mod live;
mod page_set;
mod resolve;
pub mod rules;
pub mod scenario;
pub mod space;
pub mod stats;
mod swap;
pub mod table;
mod write_set;

pub use backing::{Access, Backing, BackingError, SwapPlace};
pub use error::SpaceError;
pub use family::Family;
pub use gfn::{Gfn, PAGE_SIZE, Run};
pub use image::Image;
pub use rules::{Direction, Duration, Mutant, RuleSet, Rules};
pub use space::{AddressSpace, FromDevice, Hold, Pin, PinRequest, Prefault, ToDevice};
pub use write_set::MOST_PAGES as MOST_PREFAULTED_PAGES;
