//! How a [`HostMemory`](super::HostMemory) is made, and why it may not be.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::inject::FailureInjector;
use super::probe::MissingFeature;

/// Choices for a [`HostMemory`](super::HostMemory).
#[derive(Clone, Debug)]
pub struct MemoryOptions {
    /// Where the swap file is made, at the first eviction.
    pub swap_directory: PathBuf,
    /// A budget of host mappings of its own, instead of the process's. For tests.
    pub mapping_limit: Option<usize>,
    /// Makes chosen calls fail. For tests.
    pub failures: Option<Arc<FailureInjector>>,
}

impl Default for MemoryOptions {
    /// The directory for temporary files, the process's budget, and no failures.
    fn default() -> Self {
        Self { swap_directory: std::env::temp_dir(), mapping_limit: None, failures: None }
    }
}

/// The `trap` backing cannot start.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// This host lacks something that it needs.
    #[error(transparent)]
    Missing(#[from] MissingFeature),
    /// A system call failed.
    #[error("starting the trap backing: {operation}: {source}")]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}
