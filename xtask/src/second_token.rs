//! Kryoptic, the second token of the slow tests: a crate outside the workspace whose build leaves a
//! PKCS#11 module, kept under `target/kryoptic` from then on.
//!
//! Its bindings to OpenSSL are generated, which takes libclang; the build takes some ten minutes once.

use std::path::PathBuf;

use crate::house::House;
use crate::process::{self, Failure};

/// Names the module to the tests that load it.
pub(crate) const MODULE: &str = "LIMEN_KRYOPTIC";

const MANIFEST: &str = "xtask/kryoptic/Cargo.toml";
const TARGET: &str = "target/kryoptic";
/// Where Debian 12 has libclang; bindgen looks elsewhere by itself.
const LIBCLANG: &str = "/usr/lib/llvm-14/lib";

/// Builds what is not yet built.
pub(crate) fn build(house: &House) -> Result<(), Failure> {
    let arguments = ["build", "--release", "--manifest-path", MANIFEST, "--target-dir", TARGET];
    let mut command = process::cargo(house, &arguments);
    if std::env::var_os("LIBCLANG_PATH").is_none() && std::path::Path::new(LIBCLANG).is_dir() {
        command.env("LIBCLANG_PATH", LIBCLANG);
    }
    process::show(command)?;
    module(house).map(drop)
}

/// The module that was built last.
pub(crate) fn module(house: &House) -> Result<PathBuf, Failure> {
    let folder = house.path(TARGET).join("release/deps");
    let missing = || Failure::new(format!("find the module of Kryoptic in `{}`", folder.display()));
    let entries = std::fs::read_dir(&folder).map_err(|_| missing())?;
    let modules = entries.filter_map(Result::ok).filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libkryoptic") && name.ends_with(".so")
    });
    let newest = modules.max_by_key(|entry| entry.metadata().and_then(|it| it.modified()).ok());
    newest.map(|entry| entry.path()).ok_or_else(missing)
}
