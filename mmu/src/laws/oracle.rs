//! What everybody should see: copies, made one by one.

use std::collections::HashSet;
use std::fmt;

use crate::gfn::Gfn;
use crate::scenario::{Page, Stamp};

/// The laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Law {
    Conservation,
    StayPut,
    Isolation,
    NoLostDma,
    AllOrNothing,
    /// Not one of the five: windows show what maps say, and mappings keep within their budget.
    Books,
}

/// A law that was broken, and how.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) law: Law,
    pub(crate) how: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.law, self.how)
    }
}

impl Law {
    pub(crate) fn broken(self, how: impl Into<String>) -> Broken {
        Broken { law: self, how: how.into() }
    }
}

/// The memory of one guest on a machine that shares nothing.
#[derive(Clone)]
pub(crate) struct Ideal {
    pages: Vec<Page>,
    /// Everything that it ever held, page by page.
    past: HashSet<(Gfn, Stamp)>,
}

impl Ideal {
    pub(crate) fn zeros(pages: u32) -> Self {
        let past = (0..pages).map(|page| (Gfn(page), Stamp::INITIAL)).collect();
        Self { pages: vec![Page::default(); pages as usize], past }
    }

    pub(crate) fn page(&self, gfn: Gfn) -> Page {
        self.pages[gfn.index()]
    }

    /// Whether these bytes were there at some time, and none of them before those of `since`.
    pub(crate) fn held_since(&self, gfn: Gfn, since: Page, seen: Page) -> bool {
        let held = |stamp, since| stamp >= since && self.past.contains(&(gfn, stamp));
        held(seen.a, since.a) && held(seen.b, since.b)
    }

    pub(crate) fn cpu_writes(&mut self, gfn: Gfn, stamp: Stamp) {
        self.pages[gfn.index()].b = stamp;
        self.past.insert((gfn, stamp));
    }

    pub(crate) fn device_writes(&mut self, gfn: Gfn, stamp: Stamp) {
        self.pages[gfn.index()].a = stamp;
        self.past.insert((gfn, stamp));
    }

    pub(crate) fn discards(&mut self, gfn: Gfn) {
        self.pages[gfn.index()] = Page::default();
    }

    /// Judges what somebody saw at `gfn`: exactly what is there.
    pub(crate) fn judge(&self, who: &str, gfn: Gfn, seen: Page) -> Result<(), Broken> {
        let ideal = self.page(gfn);
        if seen == ideal {
            return Ok(());
        }
        let foreign = [seen.a, seen.b].iter().any(|stamp| !self.past.contains(&(gfn, *stamp)));
        let law = if foreign { Law::Isolation } else { Law::NoLostDma };
        Err(law.broken(format!("{who} at {gfn}: {seen:?}, not {ideal:?}")))
    }
}
