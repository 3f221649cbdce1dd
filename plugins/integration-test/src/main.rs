//! The binary of integration-test.

use std::process::ExitCode;

fn main() -> ExitCode {
    granary_plugin::main::<integration_test::IntegrationTest>()
}
