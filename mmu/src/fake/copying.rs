//! A fake host that copies pages at their first write.

use super::{Fake, Flaw, Handle, Objects, View, frame, place, slot};
use crate::backing::{Access, BackingError, HostCow};
use crate::gfn::{Gfn, Run};

/// Copies a page of a window. Returns the store of such copies.
///
/// # Panics
/// When nobody has asked for that store: a window that shows something protected has one.
pub(super) fn copy(objects: &mut Objects, window: &Handle, gfn: Gfn) -> usize {
    let own = own(objects, window).expect("a window whose copies have a store");
    let view = slot(objects, window, gfn).expect("a window that shows the page");
    if view.store != own {
        *frame(objects, own, gfn) = *frame(objects, view.store, gfn);
        *slot(objects, window, gfn) = Some(View { store: own, access: Access::Writable });
    }
    own
}

fn own(objects: &Objects, window: &Handle) -> Option<usize> {
    objects.windows[window.number].as_ref().expect("a window that lives").own
}

impl HostCow for Fake {
    type Store = Handle;
    type Window = Handle;

    fn own_frames(&self, window: &Handle) -> Handle {
        let mut objects = self.objects.lock();
        let number = place(&mut objects.stores, vec![Default::default(); self.pages as usize]);
        objects.windows[window.number].as_mut().expect("a window that lives").own = Some(number);
        Handle { number, objects: std::sync::Arc::clone(&self.objects), window: false }
    }

    fn copied(&self, window: &Handle, run: Run) -> Vec<Run> {
        let mut objects = self.objects.lock();
        let own = own(&objects, window);
        let mut is_copy = |gfn: &Gfn| {
            let view = *slot(&mut objects, window, *gfn);
            view.is_some_and(|view| Some(view.store) == own)
        };
        match self.flaw {
            Flaw::HidesCopies => Vec::new(),
            _ => run.gfns().filter(|gfn| is_copy(gfn)).map(Run::one).collect(),
        }
    }

    fn copy_now(&self, window: &Handle, run: Run) -> Result<(), BackingError> {
        self.may_fail("copy_now", run)?;
        let mut objects = self.objects.lock();
        for gfn in run.gfns() {
            copy(&mut objects, window, gfn);
        }
        Ok(())
    }

    fn copy_ahead(&self, window: &Handle, runs: &[Run]) -> Result<(), BackingError> {
        runs.iter().try_for_each(|run| match self.flaw {
            Flaw::ZeroesAhead => self.clear(window, *run),
            _ => self.copy_now(window, *run),
        })
    }

    fn clear(&self, window: &Handle, run: Run) -> Result<(), BackingError> {
        self.may_fail("clear", run)?;
        let mut objects = self.objects.lock();
        for gfn in run.gfns() {
            let own = copy(&mut objects, window, gfn);
            *frame(&mut objects, own, gfn) = Default::default();
        }
        Ok(())
    }

    fn replace(&self, window: &Handle, store: &Handle, run: Run) {
        if self.flaw == Flaw::SkipsReplace {
            return;
        }
        let mut objects = self.objects.lock();
        for gfn in run.gfns() {
            let view = View { store: store.number, access: Access::Protected };
            *slot(&mut objects, window, gfn) = Some(view);
        }
    }

    fn page_out(&self, _: &Handle, _: Run) {}

    fn unmap(&self, window: &Handle, run: Run) {
        let mut objects = self.objects.lock();
        run.gfns().for_each(|gfn| *slot(&mut objects, window, gfn) = None);
    }
}
