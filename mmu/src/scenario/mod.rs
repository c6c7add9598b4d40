//! Scenario scripts: what guests and devices do to one page, and whether what they saw was right.
//!
//! A [`Script`] is read from text, and run on a [`Place`] under a [`Checker`], which knows what an
//! unshared machine would have shown. The [`Outcome`] tells the rule sets apart. [`moves`] lists
//! what could come next, for explorations and [`Random`] scripts; [`minimise`] makes a script that
//! shows something as short as it can be.

pub mod access;
mod canonical;
mod checker;
mod explore;
#[cfg(test)]
mod fakes;
mod finding;
mod lab;
mod malformed;
mod memory;
mod minimise;
mod model;
mod moves;
mod op;
mod place;
mod random;
mod run;
mod runner;
mod scope;
mod script;
mod words;

pub use checker::{Checker, Memory, Owner, PinRecord};
pub use explore::{Explored, Explorer};
pub use finding::{Finding, Outcome};
pub use lab::{AnyPin, Lab, Reach};
pub use malformed::{Kind, Reason, ScriptError};
pub use memory::{RealMemory, SECTOR_A, SECTOR_B, SECTOR_BYTES};
pub use minimise::minimise;
pub use model::Model;
pub use moves::{Limits, moves};
pub use op::{Name, Op, ROOT};
pub use place::{Attempt, Page, Place, Refusal, Stamp, Stop};
pub use random::Random;
pub use run::{RunError, run};
pub use runner::{Runner, Step};
pub use scope::Scope;
pub use script::Script;
