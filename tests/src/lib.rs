//! What the end-to-end tests share.

mod binary;
mod elsewhere;

pub use binary::{Pincow, Ran, Started, companion};
pub use elsewhere::{Elsewhere, NOBODY, is_root};
