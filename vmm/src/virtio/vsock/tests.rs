//! Whole devices without KVM: a driver in memory, registers, rings, and programs at Unix sockets.

mod adopted;
mod bench;
mod forks;
mod hostile;
mod random;
mod saved;
mod streams;
