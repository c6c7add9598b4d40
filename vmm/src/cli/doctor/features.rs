//! What the kernel has beside the bare necessities, and what happens without it.

use pincow_mmu::host::HostFeatures;
use serde::Serialize;

/// A mechanism of the kernel.
#[derive(Serialize)]
pub(super) struct Feature {
    /// What it is called.
    pub(super) name: &'static str,
    /// It is there.
    pub(super) present: bool,
    /// The first Linux that has it.
    pub(super) since: &'static str,
    /// What pincow does without it.
    pub(super) without: &'static str,
}

/// The features of this host, those that guests cannot do without first.
pub(super) fn of(host: &HostFeatures) -> Vec<Feature> {
    let of = |present, name, since, without| Feature { name, present, since, without };
    vec![
        of(
            host.wp_shmem,
            "write-protected shared memory",
            "5.19",
            "no guest can run with `--backing trap`: forks share frames by it",
        ),
        of(
            host.missing_shmem,
            "absent shared memory",
            "4.11",
            "no guest can run with `--backing trap`: evicted frames come back by it",
        ),
        of(
            host.populate_write,
            "MADV_POPULATE_WRITE",
            "5.14",
            "no guest can run with `--backing hostcow`: pins make pages private by it",
        ),
        of(host.memfd_noexec_seal, "memfds sealed as data", "6.3", "plain memfds are used"),
        of(
            host.minor_shmem,
            "minor faults of shared memory",
            "5.14",
            "nothing changes: pincow gets along without it",
        ),
        of(
            host.wp_unpopulated,
            "protection of missing pages",
            "6.4",
            "a fork with `--backing hostcow` copies what its guest wrote before it returns, not in the background",
        ),
        of(
            host.poison,
            "pages that fail on access",
            "6.6",
            "nothing changes: a page that the host lost is unmapped",
        ),
        of(
            host.pagemap_scan,
            "PAGEMAP_SCAN",
            "6.7",
            "`--backing hostcow` reads a word for each page instead",
        ),
        of(
            host.process_madvise,
            "process_madvise",
            "5.10",
            "nothing changes: no backing prefaults so far",
        ),
    ]
}
