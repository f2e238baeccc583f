//! Another wall clock for the processes of a test, by Debian's `libfaketime`: the program reads the clock
//! of its machine, and has no other. Whoever starts processes can give them another; so does this.
//!
//! Timers run on as they are: only the wall clock is moved.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::Folder;

/// Stands in the folder of a test whose clock was moved, and says how far.
pub(crate) const FILE: &str = "clock";

/// Whether the clock of processes can be moved here; said where not, and under `CI=true` it fails.
pub(crate) fn is_movable() -> bool {
    let is_there = library().is_some();
    if !is_there {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "libfaketime is absent");
        eprintln!("NOT RUN: libfaketime is absent; install the package faketime");
    }
    is_there
}

/// For processes that `folder` starts from now on, so many days have gone by since the test began. To be
/// called while none of its processes runs.
pub(crate) fn advance(folder: &Folder, days: u64) {
    folder.file(FILE, format!("+{days}d"));
}

/// Gives `command` the clock that `file` tells, if it is there.
pub(crate) fn set(command: &mut Command, file: &Path) {
    if let (true, Some(library)) = (file.exists(), library()) {
        command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", file);
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("NO_FAKE_STAT", "1");
    }
}

fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok);
    let paths = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    paths.into_iter().find(|path| path.is_file())
}
