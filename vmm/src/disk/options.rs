//! How a disk is opened.

use std::path::PathBuf;

use super::ClusterSize;

/// How a disk is opened. Its children and images inherit it.
#[derive(Clone, Debug, Default)]
pub struct DiskOptions {
    /// Open the files for transfers with `O_DIRECT`: buffers, offsets and lengths are then to be
    /// aligned as the filesystem wants it. Sectors keep their alignment within a cluster.
    pub direct: bool,
    /// Where overlays without a name are made. `None` is the folder of the disk.
    pub scratch: Option<PathBuf>,
    /// Clusters of overlays above a raw disk. An overlay with a name has its own.
    pub cluster: ClusterSize,
    /// A negative control, for tests that must fail with it: maps name a write when it begins, and
    /// nothing is unreadable after a cut. It breaks the rule of this module, and forks with it.
    pub visible_at_submission: bool,
}
