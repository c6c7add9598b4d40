//! The host mechanisms of real guest memory: [`HostMemory`] implements [`Backing`](crate::Backing),
//! in two ways ([`BackingKind`]). A layer is a memfd ([`Store`]); a guest sees its memory in a [`Window`].
//!
//! - `trap`: the window's pages are mapped `MAP_SHARED` from layers and trap through one userfaultfd per
//!   family of guests. A thread of its own reads the traps and asks a [`Resolve`] what to do. Nothing
//!   here decides; the rules do.
//! - `hostcow`: frames that nobody may write any more are mapped `MAP_PRIVATE`, and the kernel copies a
//!   page at its first write. There are no faults to answer, but while a fork has left pages to copy
//!   (`deferring.rs`). What was copied is found in the page tables (`pagemap.rs`); the copies are a
//!   [`Store`] of their own, which is the window itself (`host_cow.rs`).
//!
//! # What the kernel does for `trap`, each found out by a test here (`kernel_facts.rs`) on Linux 6.18 and 6.1
//!
//! 1. Write protection of a shared page outlives its page table entry, as a marker: a page that is
//!    protected before it was ever read, or whose file page is punched out and filled again, still
//!    traps writes (`zap_install_uffd_wp_if_needed`, Linux 5.19). Reads go through.
//! 2. A range watched for holes too ([`Access::Absent`](crate::Access::Absent)) reports every access
//!    to a page that the file lacks, and none to a page that it has. Once a whole page was
//!    spliced into the file, retried reads go through and retried writes trap again, since the marker
//!    is still there. So nothing has to be undone when a frame comes back: waking is enough, and
//!    there is no moment at which a write slips through. This needs no UFFDIO_CONTINUE, whose
//!    write-protecting mode came with Linux 6.4.
//! 3. Asking for fewer modes than a range has does nothing: `userfaultfd_register` skips it and
//!    reports success. A range that was made absent once stays watched for holes, in a host mapping
//!    of its own, until something is mapped over it. A hole met there that is *not* an
//!    evicted frame (a discarded one, say) is reported like one; `make_present` then puts a zero
//!    page there, in one step (UFFDIO_COPY, which leaves a page alone that exists, with EEXIST).
//! 4. Dropping the write-protect mode on the way (absent without it, then back) loses the markers:
//!    the first access clears them (`pte_marker_handle_uffd_wp`), and a write goes through untrapped.
//! 5. Mappings of neighbouring frames of one layer with the same watch merge into one. Protection
//!    splits nothing.
//! 6. Linux 6.1 protects within one mapping at a time, and refuses a range that crosses into the next;
//!    6.18 does not mind (`Uffd::write_protect`).
//!
//! Watching for pages that are in the file but not in the page table (UFFDIO_REGISTER_MODE_MINOR) is
//! left out on purpose: by 3. it would stay for good, and then every page that the host reclaims
//! from a page table needs UFFDIO_CONTINUE, which before Linux 6.4 maps it writable.
//!
//! # What it costs (2 cores, Linux 6.18, release build, threads of this process instead of KVM)
//!
//! | thing | time |
//! | --- | --- |
//! | probe; new `HostMemory`; new layer; new window | 31; 84-172; 10; 2 us |
//! | protect 64 MiB that is mapped / show 64 MiB protected (markers) | 1.2 ms / 62 us |
//! | write fault: reuse / copy, with everything | 4 / 14 us |
//! | evict a page (absent, out, punch) / read it in / make it present | 9.8 / 2.0 / 0.6 us |
//! | copy one page / 64 MiB into a new layer | 1.8 us / 37 ms |
//!
//! # Order of locks
//!
//! ```text
//! space lock (the caller's)
//!   └─ table of windows ─ deferred faults
//!   └─ swap file ─ (nothing)
//!   └─ places of the swap ─ (nothing)
//! ```
//!
//! The fault thread holds none of them while it asks a [`Resolve`].

mod accounting;
mod ahead;
mod bell;
mod budget;
mod deferred;
mod deferring;
mod faults;
mod host_cow;
mod host_memory;
mod inject;
#[cfg(test)]
mod kernel_facts;
mod mapping;
mod memory;
mod options;
mod pagemap;
mod pipe;
mod probe;
mod registry;
mod store;
mod swap;
#[cfg(test)]
pub(crate) mod test_access;
mod uffd;
mod uffd_open;
mod uffd_sys;
mod window;

pub use accounting::{HostMapping, anonymous_bytes_in, anonymous_bytes_of, mappings_in, pss_bytes};
pub use faults::{FaultKind, Resolve, Resolved};
pub use host_memory::HostMemory;
pub use inject::FailureInjector;
pub use memory::{WindowMemory, WindowRegion, anonymous};
pub use options::{BackingKind, CopyOutOptions, MemoryError, MemoryOptions};
pub use probe::{HostFeatures, MissingFeature};
pub use store::Store;
pub use uffd_open::{UffdOpenError, UffdSource};
pub use window::Window;
