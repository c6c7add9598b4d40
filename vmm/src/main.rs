//! The `pincow` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    pincow_vmm::cli::main()
}
