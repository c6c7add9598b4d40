//! Whole cards without KVM: a driver in memory, registers, rings, and the far end of a link.

mod bench;
mod forks;
mod frames;
mod hostile;
mod links;
mod random;
mod saved;
