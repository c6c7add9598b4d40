//! The five laws, checked over random sequences of everything that guests, devices and the monitor
//! can do, against an oracle that really copies.
//!
//! A [`World`] does an [`Action`], checks every law, and tells the first that is broken. It is
//! generic over the backing: a [`Bench`] says what a test can do to one besides.

mod action;
mod bench;
mod check;
mod observe;
mod oracle;
mod real;
mod tests;
mod world;

pub(crate) use action::{Action, sequences};
pub(crate) use bench::{Bench, FakeBench};
pub(crate) use oracle::{Broken, Law};
pub(crate) use world::World;
