//! How a [`HostMemory`](super::HostMemory) is made, and why it may not be.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::inject::FailureInjector;
use super::probe::MissingFeature;

/// How guest memory is shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BackingKind {
    /// Every first write to a shared frame reaches the rules.
    #[default]
    Trap,
    /// The host's kernel copies a shared frame at its first write.
    HostCow,
}

/// Choices for a [`HostMemory`](super::HostMemory).
#[derive(Clone, Debug)]
pub struct MemoryOptions {
    /// How memory is shared.
    pub backing: BackingKind,
    /// Where the swap file is made, at the first eviction.
    pub swap_directory: PathBuf,
    /// When forks copy what was written, under `hostcow`.
    pub copy_out: CopyOutOptions,
    /// A budget of host mappings of its own, instead of the process's. For tests.
    pub mapping_limit: Option<usize>,
    /// Makes chosen calls fail. For tests.
    pub failures: Option<Arc<FailureInjector>>,
}

impl Default for MemoryOptions {
    /// `trap`, the directory for temporary files, the process's budget, and no failures.
    fn default() -> Self {
        let (backing, swap_directory) = (BackingKind::Trap, std::env::temp_dir());
        let copy_out = CopyOutOptions::default();
        Self { backing, swap_directory, copy_out, mapping_limit: None, failures: None }
    }
}

/// How a fork under `hostcow` copies what its guest wrote since the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyOutOptions {
    /// Always before it returns, as on hosts that cannot do otherwise.
    pub at_once: bool,
    /// From so many pages on in the background: fewer are copied as fast as protected.
    pub background_from: usize,
    /// In the background only what somebody wants, and the rest when all is needed. For tests.
    pub on_demand: bool,
    /// Fill frames by memcpy, which is wrong: others see pages that are half full. For tests.
    pub torn: bool,
}

impl Default for CopyOutOptions {
    /// In the background, from 1 MiB on.
    fn default() -> Self {
        Self { at_once: false, background_from: 256, on_demand: false, torn: false }
    }
}

/// The backing cannot start.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// This host lacks something that it needs.
    #[error(transparent)]
    Missing(#[from] MissingFeature),
    /// A system call failed.
    #[error("making guest memory: {operation}: {source}")]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}
