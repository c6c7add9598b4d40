//! The words of one line, made an operation.

use std::str::SplitWhitespace;

use super::{Name, Op, Reason};
use crate::rules::{Direction, Duration};

/// The words after the first one of a line.
pub(super) struct Words<'a> {
    operation: &'a str,
    rest: SplitWhitespace<'a>,
}

impl<'a> Words<'a> {
    /// The first word of `line` and those after it. A comment is not part of them; a line without
    /// any word is `None`.
    pub(super) fn of(line: &'a str) -> Option<(&'a str, Self)> {
        let text = line.split_once('#').map_or(line, |(text, _comment)| text);
        let mut rest = text.split_whitespace();
        let operation = rest.next()?;
        Some((operation, Self { operation, rest }))
    }

    /// The only argument.
    pub(super) fn only(mut self, argument: &'static str) -> Result<&'a str, Reason> {
        let word = self.next(argument)?;
        self.end()?;
        Ok(word)
    }

    /// The operation `self.operation` with these arguments.
    pub(super) fn into_op(mut self) -> Result<Op, Reason> {
        let op = match self.operation {
            "write" => Op::Write(self.guest()?),
            "read" => Op::Read(self.guest()?),
            "fork" => Op::Fork {
                parent: self.name("a parent")?,
                child: self.name("a name for the child")?,
            },
            "destroy" => Op::Destroy(self.guest()?),
            "pin" => Op::Pin {
                guest: self.guest()?,
                direction: self.direction()?,
                duration: self.duration()?,
                pin: self.name("a name for the pin")?,
                counted: self.counted()?,
            },
            "dma_write" => Op::DmaWrite(self.pin()?),
            "dma_read" => Op::DmaRead(self.pin()?),
            "unpin" => Op::Unpin(self.pin()?),
            "write_protect" => Op::WriteProtect(self.guest()?),
            "evict" => Op::Evict(self.guest()?),
            "hold" => Op::Hold(self.guest()?),
            "release" => Op::Release(self.guest()?),
            unknown => return Err(Reason::UnknownOperation(unknown.to_owned())),
        };
        self.end()?;
        Ok(op)
    }

    fn next(&mut self, argument: &'static str) -> Result<&'a str, Reason> {
        let operation = self.operation;
        self.rest
            .next()
            .ok_or_else(|| Reason::MissingArgument { operation: operation.to_owned(), argument })
    }

    fn guest(&mut self) -> Result<Name, Reason> {
        self.name("a guest")
    }

    fn pin(&mut self) -> Result<Name, Reason> {
        self.name("a pin")
    }

    fn name(&mut self, argument: &'static str) -> Result<Name, Reason> {
        let word = self.next(argument)?;
        if word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            Ok(word.to_owned())
        } else {
            Err(Reason::BadName(word.to_owned()))
        }
    }

    fn direction(&mut self) -> Result<Direction, Reason> {
        match self.next("a direction, R or W")? {
            "R" => Ok(Direction::ToDevice),
            "W" => Ok(Direction::FromDevice),
            word => Err(Reason::UnknownWord {
                word: word.to_owned(),
                expected: "a direction: R (the device reads) or W (it writes)",
            }),
        }
    }

    fn duration(&mut self) -> Result<Duration, Reason> {
        match self.next("a duration, short or long")? {
            "short" => Ok(Duration::Short),
            "long" => Ok(Duration::Long),
            word => Err(Reason::UnknownWord {
                word: word.to_owned(),
                expected: "a duration: short or long",
            }),
        }
    }

    fn counted(&mut self) -> Result<bool, Reason> {
        match self.rest.next() {
            None => Ok(true),
            Some("uncounted") => Ok(false),
            Some(word) => Err(Reason::UnknownWord {
                word: word.to_owned(),
                expected: "`uncounted`, the only word that may follow a pin's name",
            }),
        }
    }

    fn end(mut self) -> Result<(), Reason> {
        match self.rest.next() {
            None => Ok(()),
            Some(word) => Err(Reason::SuperfluousArgument {
                operation: self.operation.to_owned(),
                word: word.to_owned(),
            }),
        }
    }
}
