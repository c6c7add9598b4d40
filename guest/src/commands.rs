//! What each command does.

use core::fmt::Write;

use pincow_guest_protocol::command::PONG;
use pincow_guest_protocol::control::{COUNT, LINES, STOP};
use pincow_guest_protocol::map::{PAGE_BYTES, control_page};
use pincow_guest_protocol::{Command, Memory, Region, Status, churn, table};

use crate::disk;
use crate::mailbox::{Answer, exit};
use crate::ram::Ram;
use crate::runtime::crash;
use crate::serial::Serial;

/// A vCPU that obeys commands.
pub(crate) struct Vcpu {
    ram: Ram,
    /// Its control page, as a page number.
    control: u64,
}

impl Vcpu {
    /// The vCPU with this number.
    pub(crate) fn new(vcpu: usize, ram: Ram) -> Self {
        Self { ram, control: control_page(vcpu) / PAGE_BYTES as u64 }
    }

    /// Does what is asked.
    pub(crate) fn answer(&mut self, command: Option<Command>) -> Answer {
        let Some(command) = command else { return Answer::Failed(Status::Unknown) };
        self.obey(command).unwrap_or(Answer::Failed(Status::BadArgument))
    }

    /// Does the command; `None` if it has a bad argument.
    fn obey(&mut self, command: Command) -> Option<Answer> {
        let ram = &mut self.ram;
        let value = match command {
            Command::Ping => PONG,
            Command::Fill { first, pages, seed } => {
                tables(*ram, first, pages)?;
                table::fill(ram, first, pages, seed);
                0
            }
            Command::Check { first, pages, seed } => {
                tables(*ram, first, pages)?;
                match table::check(ram, first, pages, seed) {
                    (mismatches, Some(bad)) => {
                        return Some(Answer::Values([mismatches, bad, 0, 0]));
                    }
                    (mismatches, None) => mismatches,
                }
            }
            Command::Sum { first, pages } => {
                tables(*ram, first, pages)?;
                table::sum(ram, first, pages)
            }
            Command::Write { address, value } => {
                let (page, index) = ram.word_at(address)?;
                ram.store(page, index, value);
                0
            }
            Command::Read { address } => {
                let (page, index) = ram.word_at(address)?;
                ram.load(page, index)
            }
            Command::Touch { first, pages, stride, value } => {
                tables(*ram, first, pages).filter(|_| stride > 0)?;
                table::touch(ram, first, pages, stride, value)
            }
            Command::TouchRuns { first, pages, run, stride, value } => {
                tables(*ram, first, pages).filter(|_| stride > 0)?;
                table::touch_runs(ram, first, pages, (run, stride), value)
            }
            Command::Stamp { address, words, value } => {
                of_words(*ram, address, words)?;
                table::stamp(ram, address, words, value);
                0
            }
            Command::Stamped { address, words } => {
                of_words(*ram, address, words).filter(|_| words > 0)?;
                table::stamped(ram, address, words)
            }
            Command::Count { limit } => self.count(limit),
            Command::Puts => self.print_line(),
            Command::Churn { first, pages, seed, limit } => {
                let region = tables(*ram, first, pages)?;
                churn::start(ram, self.control, region, seed);
                return self.churn(limit);
            }
            Command::ChurnOn { limit } => return self.churn(limit),
            Command::Fault => crash(),
            Command::Panic => panic!("asked to panic"),
            Command::Exit { code } => exit(code),
            of_disks => return disk::answer(ram, self.control, of_disks),
        };
        Some(Answer::Value(value))
    }

    fn churn(&mut self, limit: u64) -> Option<Answer> {
        let outcome = churn::run(&mut self.ram, self.control, limit)?;
        Some(Answer::Values(outcome.values()))
    }

    /// Every number goes through memory, so that the monitor can watch.
    fn count(&mut self, limit: u64) -> u64 {
        let mut count = 0;
        self.ram.store(self.control, COUNT, 0);
        while (limit == 0 || count < limit) && self.ram.load(self.control, STOP) == 0 {
            count += 1;
            self.ram.store(self.control, COUNT, count);
        }
        self.ram.store(self.control, STOP, 0);
        count
    }

    fn print_line(&mut self) -> u64 {
        let line = self.ram.load(self.control, LINES) + 1;
        self.ram.store(self.control, LINES, line);
        // The serial line takes everything.
        let _ = writeln!(Serial, "pincow guest: line {line}");
        line
    }
}

/// The region, if it is one of the tables.
fn tables(ram: Ram, first: u64, pages: u64) -> Option<Region> {
    Region::new(first, pages).filter(|region| ram.has_tables(*region))
}

/// Nothing, if these are words of the tables.
fn of_words(ram: Ram, address: u64, words: u64) -> Option<()> {
    let inside = ram.has_bytes(address, words.checked_mul(8)?);
    (inside && address.is_multiple_of(8)).then_some(())
}
