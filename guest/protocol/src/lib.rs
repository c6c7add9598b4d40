//! What the monitor and the payload agree on.
#![no_std]
