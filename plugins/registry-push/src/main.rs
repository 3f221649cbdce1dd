//! The binary of registry-push.

use std::process::ExitCode;

fn main() -> ExitCode {
    granary_plugin::main::<registry_push::RegistryPush>()
}
