//! The house as it should be: every crate, its floor, and what it may import.
//!
//! This table is the architecture page in the form that a machine can hold us to. An import
//! that is not listed here is refused; to add one, add it here and say why in
//! `docs/decisions/`.

use std::path::{Path, PathBuf};

use crate::process::{self, Failure};

/// Where a crate stands. Ground, field and city lie below the rim: no clock, no randomness,
/// no input or output, no async.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Floor {
    Ground,
    Field,
    City,
    Rim,
    Programs,
    ProvingGround,
}

impl Floor {
    pub(crate) const fn is_below_the_rim(self) -> bool {
        matches!(self, Self::Ground | Self::Field | Self::City)
    }

    pub(crate) const fn is_no_std(self) -> bool {
        matches!(self, Self::Ground | Self::Field)
    }
}

/// One crate of the house.
pub(crate) struct Room {
    pub(crate) name: &'static str,
    pub(crate) floor: Floor,
    pub(crate) imports: &'static [&'static str],
}

const fn room(name: &'static str, floor: Floor, imports: &'static [&'static str]) -> Room {
    Room { name, floor, imports }
}

/// Every crate that may exist, from the ground up.
pub(crate) const ROOMS: &[Room] = &[
    room("vocabulary", Floor::Ground, &[]),
    room("credential", Floor::Ground, &["vocabulary"]),
    room("presentation", Floor::Ground, &["vocabulary", "credential"]),
    room("audit", Floor::Ground, &["vocabulary"]),
    room("reader", Floor::Field, &["vocabulary", "credential", "presentation", "audit"]),
    room("wallet", Floor::Field, &["vocabulary", "credential", "presentation", "audit"]),
    room("card", Floor::Field, &["vocabulary", "credential", "presentation"]),
    room("policy", Floor::City, &["vocabulary", "credential", "audit", "reader"]),
    room("identity", Floor::City, &["vocabulary", "credential", "audit", "policy"]),
    room("issuance", Floor::City, &["vocabulary", "credential", "audit", "policy"]),
    // The bundle and the journal are the reader's formats, as the access table is for `policy`.
    room("fleet", Floor::City, &["vocabulary", "credential", "audit", "policy", "reader"]),
    // The key service journals each use of a key.
    room("keys", Floor::Rim, &["vocabulary", "credential", "presentation", "audit"]),
    room(
        "store",
        Floor::Rim,
        // A place's class is the reader's word.
        &["vocabulary", "credential", "audit", "reader", "policy", "identity", "issuance", "fleet"],
    ),
    room(
        "edge",
        Floor::Rim,
        &["vocabulary", "credential", "presentation", "audit", "reader", "wallet", "card"],
    ),
    room("api", Floor::Programs, &["vocabulary"]),
    room(
        "server",
        Floor::Programs,
        &[
            "vocabulary",
            "credential",
            "presentation",
            "audit",
            "reader",
            "policy",
            "identity",
            "issuance",
            "fleet",
            "keys",
            "store",
            "api",
        ],
    ),
    // It holds no program of its own: `limen simulate` opens it, and nothing else links it.
    room(
        "simulation",
        Floor::ProvingGround,
        &["vocabulary", "credential", "audit", "reader", "policy", "fleet", "keys"],
    ),
    // The host of a reader parses the enrolment code that `fleet` wrote; who founds a city names
    // its operators in the words of `identity`.
    room(
        "limen",
        Floor::Programs,
        &[
            "vocabulary",
            "credential",
            "presentation",
            "audit",
            "reader",
            "wallet",
            "card",
            "identity",
            "fleet",
            "keys",
            "edge",
            "api",
            "server",
            "simulation",
        ],
    ),
    room(
        "conformance",
        Floor::ProvingGround,
        &[
            "vocabulary",
            "credential",
            "presentation",
            "audit",
            "reader",
            "wallet",
            "identity",
            "keys",
            "store",
            "server",
        ],
    ),
    room("xtask", Floor::ProvingGround, &[]),
];

/// The workspace on this disk.
pub(crate) struct House {
    root: PathBuf,
}

impl House {
    pub(crate) fn find() -> Result<Self, Failure> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.parent().ok_or_else(|| Failure::new("find the workspace root"))?;
        Ok(Self { root: root.to_path_buf() })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    pub(crate) fn read(&self, relative: &str) -> Result<String, Failure> {
        std::fs::read_to_string(self.path(relative))
            .map_err(|error| Failure::new(format!("read `{relative}`: {error}")))
    }

    /// Files that are under version control or would be after `git add`, relative to the
    /// root, with `/` between folders; deleted files are left out.
    pub(crate) fn files(&self) -> Result<Vec<String>, Failure> {
        let list = ["ls-files", "--cached", "--others", "--exclude-standard"];
        let listed = process::read(process::program("git", &list, &self.root))?;
        let mut files: Vec<String> =
            listed.lines().filter(|path| self.path(path).is_file()).map(str::to_owned).collect();
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// The crates that exist today, with their place in the house.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = &'static Room> {
        ROOMS
            .iter()
            .filter(|room| self.path(&format!("{}/Cargo.toml", directory(room.name))).is_file())
    }

    /// The packages of the workspace as `cargo metadata` tells them.
    pub(crate) fn packages(&self) -> Result<Vec<serde_json::Value>, Failure> {
        let query = ["metadata", "--no-deps", "--format-version", "1"];
        let told = process::read(process::cargo(self, &query))?;
        let mut told: serde_json::Value = serde_json::from_str(&told)
            .map_err(|error| Failure::new(format!("read cargo metadata: {error}")))?;
        match told.get_mut("packages").map(serde_json::Value::take) {
            Some(serde_json::Value::Array(packages)) => Ok(packages),
            _ => Err(Failure::new("read cargo metadata: it lists no packages")),
        }
    }
}

/// The folder of a crate, relative to the root.
pub(crate) fn directory(name: &str) -> String {
    if name == "xtask" { name.to_owned() } else { format!("crates/{name}") }
}

/// The crate that a file belongs to, with its place in the house.
pub(crate) fn room_of(path: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| path.starts_with(&format!("{}/", directory(room.name))))
}
