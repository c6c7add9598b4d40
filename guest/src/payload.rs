//! The root of the payload image: the library, linked to where the monitor loads it.
#![no_std]
#![no_main]

extern crate pincow_guest;
