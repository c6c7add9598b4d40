//! What the monitor and the embedded guest payload agree on: where things lie in guest memory, how
//! they talk, and what the payload's memory holds after each command.
//!
//! Everything here is a constant or a pure function. The payload runs the functions on its own
//! memory; the monitor runs the same ones on the bytes it sees, so that each side can tell what the
//! other must have. `guest/README.md` has the contract in words.
#![cfg_attr(not(test), no_std)]

pub mod churn;
pub mod command;
pub mod control;
pub mod devices;
pub mod disk;
pub mod load;
pub mod map;
pub mod memory;
pub mod page;
pub mod sector;
pub mod status;
pub mod storm;
pub mod table;

pub use churn::{Outcome, Region};
pub use command::Command;
pub use control::ControlView;
pub use devices::Register;
pub use memory::{ByteMemory, Memory};
pub use page::{PageFault, PageHeader, verify_exact, verify_page};
pub use status::Status;
pub use table::{Checksum, table_checksum, word};
