//! Whole disks without KVM: a driver in memory, registers, rings, and a file through io_uring.

mod bench;
mod copies;
mod hostile;
mod random;
mod reactor;
mod resets;
mod stages;
mod transfers;
mod writable;
