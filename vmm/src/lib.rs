//! The pincow virtual machine monitor.

pub mod boot;
pub mod devices;
pub mod guest;
pub mod kvm;
pub mod machine;
pub mod payload;
