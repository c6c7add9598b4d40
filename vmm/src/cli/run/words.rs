//! The words of the console.

use std::num::ParseIntError;

use pincow_guest_protocol::Command;
use pincow_guest_protocol::disk::WRITES;

/// What somebody wants who typed a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wish {
    Nothing,
    Help,
    Guests,
    Fork,
    Switch(u32),
    Storm { sectors: u64, depth: u64, seed: u64 },
    Calm,
    Ask(Command),
    End(u64),
}

pub(super) const HELP: &str = "  ping                     ask the guest whether it is there
  puts                     let it print a line on its serial port
  fill FIRST PAGES SEED    write pages: every word is a function of seed, page and place
  check FIRST PAGES SEED   count the words that differ from what fill writes
  sum FIRST PAGES          checksum of pages
  read ADDRESS             one word
  write ADDRESS VALUE      one word
  disk N                   set disk N up (the first one is 0), before anything else with it
  load N SECTOR SECTORS ADDRESS        read sectors of disk N into memory
  save N SECTOR SECTORS ADDRESS        write them from memory
  begin-load N SECTOR SECTORS ADDRESS  the same, answered at once: a request is in flight
  begin-save N SECTOR SECTORS ADDRESS  the same
  ended N                  a request that has ended, if there is one
  zero N SECTOR SECTORS    fill sectors with zeros
  discard N SECTOR SECTORS  say that sectors are not needed any more
  flush N                  make durable what was written
  fork                     fork the guest as it is; the child is the next number
  guests                   list the guests
  storm SECTORS DEPTH SEED  keep DEPTH transfers in flight on disk 0, whose first SECTORS are zeros
  calm                     end the storm, and read back what it has written
  guest N                  talk to guest N (the first one is 1)
  fault, panic             let it crash
  exit [CODE]              end the guest
Page numbers begin at 0x400 (4 MiB). Numbers are decimal, or hexadecimal with 0x.";

fn number(word: &str) -> Result<u64, String> {
    let parsed: Result<u64, ParseIntError> = match word.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => word.parse(),
    };
    parsed.map_err(|_| format!("`{word}` is not a number"))
}

/// Reads a line; the error says what is wrong with it.
pub(super) fn read(line: &str) -> Result<Wish, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let Some((&verb, rest)) = words.split_first() else { return Ok(Wish::Nothing) };
    let numbers: Vec<u64> = rest.iter().map(|word| number(word)).collect::<Result<_, _>>()?;
    Ok(match (verb, numbers[..].as_ref()) {
        ("help", []) => Wish::Help,
        ("ping", []) => Wish::Ask(Command::Ping),
        ("puts", []) => Wish::Ask(Command::Puts),
        ("fill", &[first, pages, seed]) => Wish::Ask(Command::Fill { first, pages, seed }),
        ("check", &[first, pages, seed]) => Wish::Ask(Command::Check { first, pages, seed }),
        ("sum", &[first, pages]) => Wish::Ask(Command::Sum { first, pages }),
        ("read", &[address]) => Wish::Ask(Command::Read { address }),
        ("write", &[address, value]) => Wish::Ask(Command::Write { address, value }),
        ("disk", &[device]) => Wish::Ask(Command::DiskInit { device, queue_size: 0, flags: 0 }),
        ("load", &[device, sector, sectors, address]) => {
            Wish::Ask(Command::DiskRead { device, sector, sectors, address })
        }
        ("save", &[device, sector, sectors, address]) => {
            Wish::Ask(Command::DiskWrite { device, sector, sectors, address })
        }
        ("begin-load", &[device, sector, sectors, address]) => {
            Wish::Ask(Command::DiskBegin { device: device & !WRITES, sector, sectors, address })
        }
        ("begin-save", &[device, sector, sectors, address]) => {
            Wish::Ask(Command::DiskBegin { device: device | WRITES, sector, sectors, address })
        }
        ("ended", &[device]) => Wish::Ask(Command::DiskEnded { device }),
        ("zero", &[device, sector, sectors]) => {
            Wish::Ask(Command::DiskZero { device, sector, sectors })
        }
        ("discard", &[device, sector, sectors]) => {
            Wish::Ask(Command::DiskDiscard { device, sector, sectors })
        }
        ("flush", &[device]) => Wish::Ask(Command::DiskFlush { device }),
        ("storm", &[sectors, depth, seed]) => Wish::Storm { sectors, depth, seed },
        ("calm", []) => Wish::Calm,
        ("fault", []) => Wish::Ask(Command::Fault),
        ("panic", []) => Wish::Ask(Command::Panic),
        ("fork", []) => Wish::Fork,
        ("guests", []) => Wish::Guests,
        ("guest", &[number]) => Wish::Switch(u32::try_from(number).unwrap_or(u32::MAX)),
        ("exit", []) => Wish::End(0),
        ("exit", &[code]) => Wish::End(code),
        _ => return Err(format!("`{line}` is not understood; try help")),
    })
}

#[cfg(test)]
mod tests;
