//! The model: disks that really copy, and transfers that land bit by bit.

use super::*;

/// A write that was begun on a disk.
struct Held {
    ticket: Ticket,
    first: u64,
    tokens: Vec<Token>,
    /// How many of its sectors have landed.
    landed: usize,
}

/// A disk, what it must read, and its transfers. `None`: unreadable.
struct Guest {
    disk: Disk,
    expected: Vec<Option<Token>>,
    held: Vec<Held>,
    /// Its writes go to the base itself.
    in_place: bool,
    /// Sectors that were written above the base, so that the base does not show there.
    above: Vec<bool>,
}

/// A disk and all that came of it.
pub(super) struct World {
    home: Home,
    guests: Vec<Guest>,
    images: Vec<(DiskImage, Vec<Option<Token>>)>,
    next_token: Token,
    root_in_place: bool,
}

impl World {
    pub(super) fn new(raw: bool, broken: bool) -> Self {
        let home = Home::new();
        let options = DiskOptions { visible_at_submission: broken, ..options() };
        let disk = if raw { home.raw(options) } else { home.above(options) };
        let expected = base_tokens().into_iter().map(Some).collect();
        let root = Guest { in_place: raw, ..Guest::new(disk, expected) };
        Self { home, guests: vec![root], images: Vec::new(), next_token: 1, root_in_place: raw }
    }

    pub(super) fn begin_write(&mut self, guest: usize, first: u64, count: u64) {
        let number = self.guests.len();
        let Some(guest) = self.guests.get_mut(guest % number.max(1)) else { return };
        let first = first % SECTORS;
        let count = count.min(SECTORS - first);
        // Two writes in place at once to one sector have no one outcome.
        let overlap = |held: &Held| {
            first < held.first + held.tokens.len() as u64 && held.first < first + count
        };
        if guest.in_place && guest.held.iter().any(overlap) {
            return;
        }
        let tokens = (0..count).map(|sector| self.next_token + sector).collect();
        self.next_token += count;
        let ticket = guest.disk.begin_write(first, count).unwrap();
        guest.held.push(Held { ticket, first, tokens, landed: 0 });
    }

    /// Some more of a transfer's sectors reach the file.
    pub(super) fn land(&mut self, guest: usize, held: usize, sectors: usize) {
        if let Some((_, held)) = pick(&mut self.guests, guest, held) {
            held.land(sectors);
        }
    }

    pub(super) fn finish(&mut self, guest: usize, held: usize, succeed: bool) {
        let Some((at, held)) = pick(&mut self.guests, guest, held) else { return };
        let succeed = succeed || held.in_place();
        if succeed {
            held.land(usize::MAX);
        }
        let number = self.guests[at.0].held.len();
        let held = self.guests[at.0].held.swap_remove(at.1 % number);
        match succeed {
            true => {
                self.guests[at.0].completed(&held);
                held.ticket.complete();
            }
            false => held.ticket.fail(),
        }
    }

    pub(super) fn zero(&mut self, guest: usize, first: u64, count: u64) {
        let number = self.guests.len();
        let Some(guest) = self.guests.get_mut(guest % number.max(1)) else { return };
        if guest.in_place {
            return;
        }
        let first = first % SECTORS;
        let count = count.min(SECTORS - first);
        guest.disk.begin_write_zeroes(first, count).unwrap().complete();
        let range = first as usize..(first + count) as usize;
        guest.expected[range.clone()].fill(Some(0));
        guest.above[range].fill(true);
    }

    pub(super) fn fork(&mut self, guest: usize) {
        let number = self.guests.len();
        if number == 0 || number > 8 {
            return;
        }
        let parent = &mut self.guests[guest % number];
        let expected = parent.born();
        let disk = parent.disk.fork().unwrap();
        parent.in_place = false;
        self.guests.push(Guest::new(disk, expected));
    }

    pub(super) fn snapshot(&mut self, guest: usize) {
        let number = self.guests.len();
        if number == 0 || self.images.len() > 8 {
            return;
        }
        let parent = &mut self.guests[guest % number];
        let expected = parent.born();
        self.images.push((parent.disk.snapshot().unwrap(), expected));
        parent.in_place = false;
    }

    pub(super) fn spawn(&mut self, image: usize) {
        if self.images.is_empty() || self.guests.len() > 8 {
            return;
        }
        let (image, expected) = &self.images[image % self.images.len()];
        let disk = image.spawn().unwrap();
        let expected = expected.clone();
        self.guests.push(Guest::new(disk, expected));
    }

    /// A guest ends. Its transfers in flight land all the same, as nobody can call them back.
    pub(super) fn drop_guest(&mut self, guest: usize) {
        let number = self.guests.len();
        if number < 2 {
            return;
        }
        let mut guest = self.guests.swap_remove(guest % number);
        drop(guest.disk);
        guest.held.iter_mut().for_each(|held| held.land(usize::MAX));
    }

    pub(super) fn drop_image(&mut self, image: usize) {
        if !self.images.is_empty() {
            self.images.swap_remove(image % self.images.len());
        }
    }

    /// Whether every disk and every image reads what it must.
    pub(super) fn compare(&self) -> Result<(), String> {
        for (number, guest) in self.guests.iter().enumerate() {
            same(&format!("guest {number}"), &guest.disk, &guest.expected, &guest.in_flight())?;
        }
        for (number, (image, expected)) in self.images.iter().enumerate() {
            let disk = image.spawn().unwrap();
            same(&format!("image {number}"), &disk, expected, &[])?;
        }
        let base: Vec<_> = base_tokens();
        let found = self.home.base_bytes();
        if !self.root_in_place && found != bytes_of(&base) {
            return Err("the base was written".into());
        }
        Ok(())
    }

    /// Ends all, and checks that nothing is left in use.
    pub(super) fn end(mut self) -> Result<(), String> {
        self.images.clear();
        while self.guests.len() > 1 {
            self.drop_guest(0);
        }
        let mut last = self.guests.remove(0);
        last.held.drain(..).for_each(|held| held.ticket.fail());
        let usage = last.disk.usage();
        let counted = (usage.base_users, usage.in_flight);
        if counted != (1, 0) || usage.live_slots > usage.mapped_clusters * 2 + 12 {
            return Err(format!("something is left in use: {usage:?}"));
        }
        Ok(())
    }
}

impl Guest {
    fn new(disk: Disk, expected: Vec<Option<Token>>) -> Self {
        let above = vec![false; SECTORS as usize];
        Self { disk, expected, held: Vec::new(), in_place: false, above }
    }

    /// What a child reads that is born now.
    fn born(&self) -> Vec<Option<Token>> {
        let mut expected = self.expected.clone();
        for sector in self.in_flight().into_iter().filter(|sector| !self.above[*sector as usize]) {
            expected[sector as usize] = None;
        }
        expected
    }

    fn completed(&mut self, held: &Held) {
        for (sector, token) in (held.first as usize..).zip(&held.tokens) {
            if !held.in_place() || !self.above[sector] {
                self.expected[sector] = Some(*token);
                self.above[sector] = !held.in_place();
            }
        }
    }

    /// Sectors with a write in flight into the base itself.
    fn in_flight(&self) -> Vec<u64> {
        let held = self.held.iter().filter(|held| held.in_place());
        held.flat_map(|held| held.first..held.first + held.tokens.len() as u64).collect()
    }
}

impl Held {
    fn in_place(&self) -> bool {
        self.ticket.targets().is_empty()
    }

    fn land(&mut self, sectors: usize) {
        let until = self.tokens.len().min(self.landed.saturating_add(sectors));
        let mut sector = 0;
        for extent in self.ticket.extents() {
            let Place::File { file, offset } = &extent.place else { panic!("a file") };
            for within in 0..extent.sectors {
                if (self.landed..until).contains(&sector) {
                    let at = offset + within * SECTOR_BYTES;
                    file.write_all_at(&bytes_of(&self.tokens[sector..=sector]), at).unwrap();
                }
                sector += 1;
            }
        }
        self.landed = until;
    }
}

fn pick(guests: &mut [Guest], guest: usize, held: usize) -> Option<((usize, usize), &mut Held)> {
    let busy = guests.iter().filter(|guest| !guest.held.is_empty()).count();
    let chosen = guest.checked_rem(busy)?;
    let (at, guest) =
        guests.iter_mut().enumerate().filter(|(_, guest)| !guest.held.is_empty()).nth(chosen)?;
    let number = held % guest.held.len();
    Some(((at, number), &mut guest.held[number]))
}

fn same(who: &str, disk: &Disk, expected: &[Option<Token>], open: &[u64]) -> Result<(), String> {
    for sector in (0..SECTORS).filter(|sector| !open.contains(sector)) {
        let plan = disk.read_plan(sector, 1).unwrap();
        let found = match &plan.extents()[0].place {
            Place::Zeroes => Some(0),
            Place::Unreadable => None,
            Place::File { file, offset } => {
                let mut bytes = [0; 512];
                // With the negative control a map names what is behind the end of the file.
                let _ = file.read_exact_at(&mut bytes, *offset);
                Some(token_of(&bytes))
            }
        };
        if found != expected[sector as usize] {
            let expected = expected[sector as usize];
            return Err(format!("{who}, sector {sector}: {found:?}, and not {expected:?}"));
        }
    }
    Ok(())
}
