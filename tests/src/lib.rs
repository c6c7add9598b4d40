//! What the end-to-end tests share.

mod binary;
mod elsewhere;

pub use binary::{Pincow, Ran, Started};
pub use elsewhere::{Elsewhere, NOBODY, is_root};
