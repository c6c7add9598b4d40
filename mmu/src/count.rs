//! The count of a frame: one atomic word in which every holder stands.
//!
//! `refs` is *the* count, the one that the rules (a) to (d) speak of: mappings, images, pins,
//! transient references and the swap each add 1. The other fields say who the holders are, for the
//! rule sets that want to know; the default set never reads them. All fields change in the same
//! atomic operation, so no reader sees a frame whose holders do not add up.
//!
//! A word is *free* (0), *held* (the `ALLOCATED` bit and at least one reference) or *dying* (the
//! `ALLOCATED` bit alone): whoever drops the last reference punches the frame and then frees the
//! word, and nobody can claim the slot in between.
//!
//! ```text
//!   dropper                          claimer of the same slot
//!   let_go: 1 -> dying
//!   punch                            claim: 0 expected, finds dying: refused
//!   free: dying -> 0 (Release)
//!                                    claim: 0 -> held (Acquire): sees the punch done
//! ```

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::rules::{Direction, Duration};

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;

/// Why a frame is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// An address space maps it.
    Map,
    /// An image names it.
    Image,
    /// Its content is shared through the swap.
    Swap,
    /// The host looks at it, without being a pin that the rules know.
    Transient,
    /// A device transfer.
    Pin(Direction, Duration),
}

/// What a count held at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tally {
    /// All references.
    pub refs: u32,
    /// Address maps that lead to the frame, of spaces and of images. An image is the map of a guest
    /// that does not run: what tells `mapcount` from the other sets is that it ignores pins.
    pub maps: u32,
    /// Pins of devices that write it.
    pub write_pins: u32,
    /// Short pins of devices that read it.
    pub short_reads: u32,
    /// Long pins of devices that read it.
    pub long_reads: u32,
    /// A place in the swap shares the content.
    pub swapped: bool,
}

impl Tally {
    /// All pins.
    #[must_use]
    pub fn pins(self) -> u32 {
        self.write_pins + self.short_reads + self.long_reads
    }
}

/// A field of the count has no room for another holder. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many holders of one frame")]
pub struct Saturated;

/// A bit field of the word: its lowest bit and its width.
struct Field {
    low: u32,
    bits: u32,
}

impl Field {
    const fn one(&self) -> u64 {
        1 << self.low
    }

    const fn max(&self) -> u64 {
        (1 << self.bits) - 1
    }

    const fn get(&self, word: u64) -> u64 {
        (word >> self.low) & self.max()
    }
}

const REFS: Field = Field { low: 0, bits: 20 };
const MAPS: Field = Field { low: 20, bits: 16 };
const WRITE_PINS: Field = Field { low: 36, bits: 8 };
const SHORT_READS: Field = Field { low: 44, bits: 9 };
const LONG_READS: Field = Field { low: 53, bits: 9 };
const SWAPPED: Field = Field { low: 62, bits: 1 };
const ALLOCATED: u64 = 1 << 63;

/// The field that a holder has beside `refs`, if any.
fn own_field(holder: Holder) -> Option<&'static Field> {
    match holder {
        Holder::Map | Holder::Image => Some(&MAPS),
        Holder::Swap => Some(&SWAPPED),
        Holder::Pin(Direction::FromDevice, _) => Some(&WRITE_PINS),
        Holder::Pin(Direction::ToDevice, Duration::Short) => Some(&SHORT_READS),
        Holder::Pin(Direction::ToDevice, Duration::Long) => Some(&LONG_READS),
        Holder::Transient => None,
    }
}

fn step(holder: Holder) -> u64 {
    REFS.one() + own_field(holder).map_or(0, Field::one)
}

fn has_room(word: u64, holder: Holder) -> bool {
    let full = |field: &Field| field.get(word) == field.max();
    !full(&REFS) && !own_field(holder).is_some_and(full)
}

/// The count of one frame.
#[derive(Debug)]
pub struct Count(AtomicU64);

impl Default for Count {
    fn default() -> Self {
        Self(AtomicU64::new(0))
    }
}

impl Count {
    /// Takes a free frame for `holder`. `false` when it is not free.
    pub fn claim(&self, holder: Holder) -> bool {
        self.0
            .compare_exchange(0, ALLOCATED | step(holder), Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Adds a holder to a frame that the caller already keeps alive.
    ///
    /// Relaxed is enough: a new reference comes from an existing one, under the space's lock.
    ///
    /// # Errors
    /// [`Saturated`] when the field has no room. Nothing is changed then.
    pub fn add(&self, holder: Holder) -> Result<(), Saturated> {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            debug_assert!(REFS.get(word) > 0, "a reference to a frame that nobody holds");
            if !has_room(word, holder) {
                return Err(Saturated);
            }
            match self.0.compare_exchange_weak(
                word,
                word + step(holder),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }

    /// Adds a holder to a frame if somebody holds it, and there is room.
    pub fn join(&self, holder: Holder) -> bool {
        let joined =
            |word| (REFS.get(word) > 0 && has_room(word, holder)).then(|| word + step(holder));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, joined).is_ok()
    }

    /// Removes a holder. `true` when it was the last: the caller punches the frame, then calls
    /// [`free`](Self::free).
    ///
    /// Release, so that what the holder did to the frame is seen by whoever finds a count of 1;
    /// Acquire when it was the last, so that the punch comes after everybody's use.
    #[must_use]
    pub fn let_go(&self, holder: Holder) -> bool {
        let before = self.0.fetch_sub(step(holder), Ordering::Release);
        debug_assert!(REFS.get(before) > 0, "a reference let go twice");
        if before - step(holder) != ALLOCATED {
            return false;
        }
        fence(Ordering::Acquire);
        true
    }

    /// Ends the dying of a frame: the slot may be claimed again.
    pub fn free(&self) {
        debug_assert_eq!(self.0.load(Ordering::Relaxed), ALLOCATED, "only a dying frame is freed");
        self.0.store(0, Ordering::Release);
    }

    /// Who holds the frame now.
    ///
    /// Acquire, since a count of 1 grants its holder exclusive use: everything that former holders
    /// did has happened before. "1" is stable under the space's lock, because new references come
    /// only from operations that hold it; anything above may be out of date and costs a copy.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let word = self.0.load(Ordering::Acquire);
        let get = |field: &Field| u32::try_from(field.get(word)).unwrap_or(u32::MAX);
        Tally {
            refs: get(&REFS),
            maps: get(&MAPS),
            write_pins: get(&WRITE_PINS),
            short_reads: get(&SHORT_READS),
            long_reads: get(&LONG_READS),
            swapped: get(&SWAPPED) == 1,
        }
    }

    /// Whether the slot may be claimed.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}
