//! What happened to the frames of a family, counted as it happens.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Running counters. They only grow.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: Counter,)+
        }

        /// The counters at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Counts {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Counters {
            /// All of them now.
            #[must_use]
            pub fn now(&self) -> Counts {
                Counts { $($name: self.$name.get(),)+ }
            }
        }
    };
}

counters! {
    /// Write faults answered with a copy.
    copied,
    /// Write faults answered by making the frame writable where it is.
    reused,
    /// Copies made because a pin may not sit on a shared page.
    unshared,
    /// Copies that a fork or snapshot made of pinned frames for the other side.
    early_copies,
    /// Pages copied out of a guest's window by a fork or snapshot, where the host had copied them.
    copied_out,
    /// Pages that a clone was probably going to write, which the host was asked to copy beforehand.
    prefaulted,
    /// Frames copied beside the one that was written, to keep the number of host mappings down.
    block_copied,
    /// Frames written out to the swap, or left behind in it because somebody still holds them.
    evicted,
    /// Entries that came back from the swap.
    swapped_in,
    /// Frames discarded by their guest.
    discarded,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Its value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }
}

impl Counts {
    /// Every page copy that a rule asked for.
    #[must_use]
    pub fn copies(self) -> u64 {
        self.copied + self.unshared + self.early_copies
    }
}
