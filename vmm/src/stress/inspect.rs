//! The monitor verifies a guest that stands still: its disks against the shadow in its memory, and
//! the bytes that only its CPU writes.

use pincow_guest_protocol::map::{PAGE_BYTES, PAGE_WORDS, control_page};
use pincow_guest_protocol::storm::{Lent, StormView};
use pincow_guest_protocol::{Memory, Region};
use vm_memory::{Bytes, GuestAddress};

use super::finding::{Finding, Kind, Witness};
use super::reader::Sectors;
use super::{Plan, StressError, storm};
use crate::guest::Guest;

#[cfg(test)]
mod tests;

/// What a look at a guest came to.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) sectors: u64,
    pub(super) findings: Vec<Finding>,
}

/// Verifies all that guest number `number` has. Its vCPUs must not run; transfers may be in flight,
/// and what they change may then hold anything of this guest.
///
/// # Errors
/// When memory or a disk cannot be read.
pub(super) fn verify(guest: &Guest, number: u64, plan: &Plan) -> Result<Seen, StressError> {
    let mut seen = Seen::default();
    for (vcpu, disk) in (0..).zip(guest.disks()) {
        // The memory first: what is complete there is on the disk.
        let copy = Copy::of(guest, plan, vcpu)?;
        let sectors = Sectors::read(disk, storm::SECTORS)?;
        match copy.storm() {
            Some(view) => {
                seen.findings.extend(compare(&view, &sectors, number));
                seen.sectors += sectors.len();
            }
            None => seen.findings.push(no_storm(number)),
        }
    }
    Ok(seen)
}

/// The pages that a guest gives up from time to time, and what it says of each. Its vCPUs must not
/// run.
///
/// # Errors
/// When memory cannot be read.
pub(super) fn lent(guest: &Guest, plan: &Plan) -> Result<Vec<(u64, Lent)>, StressError> {
    let mut pages = Vec::new();
    for vcpu in 0..plan.vcpus {
        let copy = Copy::of(guest, plan, vcpu)?;
        if let Some(view) = copy.storm() {
            pages.extend(view.lent());
        }
    }
    Ok(pages)
}

/// All that is wrong.
fn compare(view: &StormView<'_, Copy>, sectors: &Sectors, number: u64) -> Vec<Finding> {
    let disk = (0..).zip(sectors.iter()).filter_map(|(sector, bytes)| {
        let bytes = bytes?;
        view.verify_sector(sector, bytes)
    });
    let memory = view.verify_stamps().chain(view.verify_lent());
    disk.chain(memory).map(|it| Finding::of_storm(number, Witness::Host, &it)).collect()
}

fn no_storm(number: u64) -> Finding {
    let found = "none, or one with other parameters".to_owned();
    Finding::plain(Kind::Corrupt, Some(number), "a storm in the control page", found)
}

/// The memory of one storm, and its control page.
struct Copy {
    control_page: u64,
    control: Vec<u8>,
    first: u64,
    area: Vec<u8>,
}

impl Copy {
    fn of(guest: &Guest, plan: &Plan, vcpu: u32) -> Result<Self, StressError> {
        let (control, area) = (control_page(vcpu as usize), storm::area(plan, vcpu));
        let page = PAGE_BYTES as u64;
        let memory = guest.machine().ram().memory();
        let read = |address: u64, pages: u64| {
            let mut bytes = vec![0; (pages * page) as usize];
            let read = memory.read_slice(&mut bytes, GuestAddress(address));
            read.map_err(|source| StressError::Memory { address, source })?;
            Ok::<_, StressError>(bytes)
        };
        Ok(Self {
            control_page: control / page,
            control: read(control, 1)?,
            first: area.start,
            area: read(area.start * page, area.end - area.start)?,
        })
    }

    /// The storm, unless the guest says that it is another one, or elsewhere.
    fn storm(&self) -> Option<StormView<'_, Self>> {
        let view = StormView::new(self, self.control_page)?;
        let pages = (self.area.len() / PAGE_BYTES) as u64;
        let is_ours = view.plan().region() == (0, storm::SECTORS)
            && Some(view.plan().area()) == Region::new(self.first, pages);
        is_ours.then_some(view)
    }

    /// Where a word is: in the area, or in the control page, and which of its words.
    fn place(&self, page: u64, index: usize) -> (bool, usize) {
        let in_area = page != self.control_page;
        let page = if in_area { page.wrapping_sub(self.first) } else { 0 };
        let page = usize::try_from(page).unwrap_or(usize::MAX);
        (in_area, page.saturating_mul(PAGE_WORDS).saturating_add(index))
    }
}

/// What lies elsewhere is zeros.
impl Memory for Copy {
    fn load(&self, page: u64, index: usize) -> u64 {
        let (in_area, word) = self.place(page, index);
        let bytes = if in_area { &self.area } else { &self.control };
        bytes.as_chunks().0.get(word).map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    fn store(&mut self, page: u64, index: usize, value: u64) {
        let (in_area, word) = self.place(page, index);
        let bytes = if in_area { &mut self.area } else { &mut self.control };
        if let Some(word) = bytes.as_chunks_mut().0.get_mut(word) {
            *word = value.to_le_bytes();
        }
    }
}
