//! Pins: values whose existence keeps a frame where a device can reach it.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{AddressSpace, MAP, Page, State};
use crate::alias::Alias;
use crate::backing::{Access, Backing};
use crate::count::Holder;
use crate::error::SpaceError;
use crate::gfn::{Gfn, Run};
use crate::layer::Layer;
use crate::rules::{BeforePin, Direction, Duration};
use crate::table::{Entry, Mapped};

/// One reference on one frame, wherever its guest moves on to.
struct Grip<B: Backing> {
    alias: Arc<Alias<B>>,
    gfn: Gfn,
    holder: Holder,
}

impl<B: Backing> Grip<B> {
    fn frame(&self) -> (&Arc<Layer<B>>, Gfn) {
        (&self.alias.layer, self.gfn)
    }
}

impl<B: Backing> Drop for Grip<B> {
    fn drop(&mut self) {
        let Alias { layer, family, rules } = &*self.alias;
        let transient = self.holder == Holder::Transient;
        let emptied = layer.let_go(Run::one(self.gfn), self.holder);
        if (emptied || transient)
            && let Some(family) = family.upgrade()
        {
            if emptied {
                family.give_back([]);
            }
            if transient {
                family.transients.fetch_sub(1, Ordering::Release);
            }
        }
        if rules.writers_may_wait() {
            layer.backing().pins_changed();
        }
    }
}

/// A transient host reference that is not a pin: it keeps the frame alive, and nothing else.
pub struct Hold<B: Backing>(Grip<B>);

impl<B: Backing> Hold<B> {
    /// The frame: its layer and its place there.
    #[must_use]
    pub fn frame(&self) -> (&Arc<Layer<B>>, Gfn) {
        self.0.frame()
    }
}

/// The device writes guest memory (a virtio-blk read).
#[derive(Clone, Copy, Debug)]
pub struct FromDevice;

/// The device reads guest memory (a virtio-blk write).
#[derive(Clone, Copy, Debug)]
pub struct ToDevice;

/// A direction as a type.
pub trait Way {
    /// The same as a value.
    const DIRECTION: Direction;
}

impl Way for FromDevice {
    const DIRECTION: Direction = Direction::FromDevice;
}

impl Way for ToDevice {
    const DIRECTION: Direction = Direction::ToDevice;
}

/// A device's hold on one frame of guest memory, by direction.
///
/// While a pin lives, its frame is not freed and, unless the rule set is unsafe, stays mapped where
/// it is in the space that pinned it. Drop it when the completion has been *read*, not before.
pub struct Pin<B: Backing, D> {
    grip: Grip<B>,
    way: PhantomData<D>,
}

impl<B: Backing, D> Pin<B, D> {
    /// The frame: its layer and its place there.
    #[must_use]
    pub fn frame(&self) -> (&Arc<Layer<B>>, Gfn) {
        self.grip.frame()
    }

    /// As what the frame's count knows it.
    #[must_use]
    pub fn holder(&self) -> Holder {
        self.grip.holder
    }
}

/// How a pin is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinRequest {
    /// For how long.
    pub duration: Duration,
    /// `false` for a reference that the rules are not told about: only experiments want that.
    pub counted: bool,
}

impl PinRequest {
    /// A pin for one request, as transfers take it.
    pub const TRANSFER: Self = Self { duration: Duration::Short, counted: true };
}

impl<B: Backing> AddressSpace<B> {
    /// Pins the frame of `gfn` for a device transfer, after breaking COW where the rules want it:
    /// rules (b) and (e).
    ///
    /// Pins of pages that are exclusively writable already do not exclude each other, and threads that
    /// take them write to no common memory but the counts of the frames.
    ///
    /// # Errors
    /// [`SpaceError::Wait`] when the write fault would have to wait for other pins,
    /// [`SpaceError::Saturated`], [`SpaceError::OutOfRange`], or what the host said.
    pub fn pin<D: Way>(&self, gfn: Gfn, request: PinRequest) -> Result<Pin<B, D>, SpaceError> {
        self.check(gfn)?;
        let PinRequest { duration, counted } = request;
        let holder = match counted {
            true => Holder::Pin(D::DIRECTION, duration),
            false => Holder::Transient,
        };
        let way = PhantomData;
        {
            let state = self.state.read();
            if let Entry::Mapped(entry) = state.held.table.get(gfn)
                && entry.writable
                && !state.zeros.contains(&gfn)
                && let Some(alias) = state.known.find(entry.layer)
            {
                return Ok(Pin { grip: self.grip(alias, gfn, holder)?, way });
            }
        }
        let mut state = self.state.write();
        self.learn(&mut state, Run::one(gfn));
        let page = self.present(&mut state, gfn)?;
        self.make_by_host(&state, gfn)?;
        let before = match page.entry.writable {
            true => BeforePin::Nothing,
            false => {
                let facts = page.facts(&self.family);
                self.family.rules().before_pin(facts, D::DIRECTION, duration, counted)
            }
        };
        match before {
            BeforePin::Nothing => {}
            BeforePin::WriteFault => self.break_cow(&mut state, gfn)?,
            // The host's copy, which is counted as one.
            BeforePin::Unshare if page.based => self.break_cow(&mut state, gfn)?,
            BeforePin::MakePrivate => {
                state.set(gfn, Entry::Mapped(Mapped { private: true, ..page.entry }));
            }
            BeforePin::Unshare => {
                self.with_room(&mut state, 2, |state| self.unshare(state, &page))?
            }
        }
        Ok(Pin { grip: self.grip_present(&mut state, gfn, holder)?, way })
    }

    /// Takes a transient reference on the frame of `gfn`, which the rules do not know as a pin.
    ///
    /// # Errors
    /// [`SpaceError::Saturated`], [`SpaceError::OutOfRange`], or what the host said.
    pub fn hold(&self, gfn: Gfn) -> Result<Hold<B>, SpaceError> {
        self.check(gfn)?;
        let mut state = self.state.write();
        self.learn(&mut state, Run::one(gfn));
        Ok(Hold(self.grip_present(&mut state, gfn, Holder::Transient)?))
    }

    /// Gives a page a private frame with the same bytes. It stays protected, so that it needs
    /// another slot for its next copy.
    fn unshare(&self, state: &mut State<B>, page: &Page<B>) -> Result<(), SpaceError> {
        let (gfn, run, backing) = (page.gfn, page.run(), self.family.backing());
        let target = state.reserve.layer_for(gfn).clone();
        target.take(gfn, MAP);
        let private = Mapped { layer: target.id(), writable: false, private: true };
        let mut after = state.held.table.clone();
        after.set(gfn, Entry::Mapped(private));
        let shown = state.reserve.with_page(&self.family, &after, gfn).and_then(|reserve| {
            backing.copy(page.layer.store(), target.store(), run)?;
            backing.map(&self.window, target.store(), run, Access::Protected)?;
            Ok(reserve)
        });
        match shown {
            Ok(reserve) => state.reserve = reserve,
            Err(error) => {
                self.family.let_go(&target, run, MAP);
                return Err(error.into());
            }
        }
        state.set_shown_anew(run, Entry::Mapped(private));
        self.family.let_go(&page.layer, run, MAP);
        self.family.counters.unshared.add(1);
        Ok(())
    }

    /// The page at `gfn`, read back first if it was evicted.
    fn present(&self, state: &mut State<B>, gfn: Gfn) -> Result<Page<B>, SpaceError> {
        self.bring_back(state, gfn)?;
        Ok(self.mapped(state, gfn).expect("a page that was brought back is mapped"))
    }

    /// A reference on the frame of a page, which is read back first if it was evicted.
    fn grip_present(
        &self,
        state: &mut State<B>,
        gfn: Gfn,
        holder: Holder,
    ) -> Result<Grip<B>, SpaceError> {
        let page = self.present(state, gfn)?;
        if let Some(copy_out) = &state.copy_out {
            // Whoever has a reference may look at the frame.
            copy_out.fetch(gfn);
        }
        let alias = state.known.find_or_learn(&self.family, page.entry.layer);
        self.grip(alias, gfn, holder)
    }

    fn grip(&self, alias: Arc<Alias<B>>, gfn: Gfn, holder: Holder) -> Result<Grip<B>, SpaceError> {
        let transients = &self.family.transients;
        if holder == Holder::Transient {
            transients.fetch_add(1, Ordering::AcqRel);
        }
        if let Err(saturated) = alias.layer.add(gfn, holder) {
            if holder == Holder::Transient {
                transients.fetch_sub(1, Ordering::Release);
            }
            return Err(SpaceError::saturated(gfn)(saturated));
        }
        Ok(Grip { alias, gfn, holder })
    }
}
