//! The host mechanisms of real guest memory.
