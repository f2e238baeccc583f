//! Where the published vectors lie, and what happens where they do not.

use std::path::PathBuf;

use serde_json::Value;

/// The folder `name` of the shared vectors. Where it is absent this says what was not run, and
/// under `CI=true` it fails.
pub(crate) fn folder(name: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("LIMEN_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let folder = shared.join("vectors").join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "vectors `{name}` are absent");
    eprintln!("NOT RUN: vectors `{name}` are absent; set LIMEN_SHARED to their folder");
    None
}

/// Every JSON object of a folder with its file name, in order of names.
pub(crate) fn json_files(folder: &std::path::Path) -> Vec<(String, Value)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        (name, serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    };
    files.into_iter().map(read).collect()
}

/// One JSON file of a folder.
pub(crate) fn json(folder: &std::path::Path, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let digit = |d: u8| char::from(d).to_digit(16).unwrap() as u8;
    digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
