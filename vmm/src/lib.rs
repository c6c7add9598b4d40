//! The pincow virtual machine monitor.

pub mod bench;
pub mod boot;
pub mod cli;
pub mod control;
pub mod demo;
pub mod devices;
pub mod disk;
pub mod drive;
pub mod guest;
pub mod io;
pub mod kvm;
pub mod lab;
pub mod machine;
pub mod payload;
pub mod process;
pub mod stress;
pub mod virtio;
