//! The binary of promote.

use std::process::ExitCode;

fn main() -> ExitCode {
    granary_plugin::main::<promote::Promote>()
}
