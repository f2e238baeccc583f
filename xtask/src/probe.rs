//! The proof that ground and field need no operating system.
//!
//! `xtask/probe` is a static library with a panic handler and an allocator of its own. A
//! dependency that pulls in `std` brings a second panic handler, and rustc refuses the two
//! with E0152. The control links `std` on purpose: were that to build, the probe would prove
//! nothing.

use crate::house::House;
use crate::process::{self, Failure};

/// The probe stands outside the workspace.
pub(crate) const MANIFEST: &str = "xtask/probe/Cargo.toml";

/// Builds the probe, then its control, which must fail for the right reason.
pub(crate) fn run(house: &House) -> Result<(), Failure> {
    // Outside the workspace, but built from the same versions.
    std::fs::copy(house.path("Cargo.lock"), house.path("xtask/probe/Cargo.lock"))?;
    process::show(build(house, &[]))?;
    match process::read(build(house, &["--features", "control"])) {
        Ok(_) => Err(Failure::new("the control of the probe links std and was built all the same")),
        Err(failure) if failure.to_string().contains("E0152") => {
            println!("probe: ground and field build without std; the control is refused");
            Ok(())
        }
        Err(failure) => Err(failure),
    }
}

fn build(house: &House, more: &[&str]) -> std::process::Command {
    let target = house.path("target/probe");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command =
        process::program(cargo, &["build", "--manifest-path", MANIFEST], house.root());
    command.arg("--target-dir").arg(target).args(more);
    command
}
