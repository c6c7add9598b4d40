//! The `pincow` command.

fn main() {}
