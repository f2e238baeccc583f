//! Profiles: servers and tokens that `limen login` remembers for one user of this machine.
//!
//! They lie in `$XDG_CONFIG_HOME/limen/profile.toml`, else in `~/.config/limen/profile.toml`,
//! readable by the user alone; a file that others may read is not taken.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, OrFail};
use crate::output;

/// The name of the profile that is meant when none is named.
pub(crate) const DEFAULT: &str = "default";
/// Bytes in the file of profiles.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Characters in the name of a profile.
const NAME_CHARACTERS_MAX: usize = 32;

/// A server and how to speak to it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// The base of its URLs.
    pub(crate) server: String,
    /// What stands after `Authorization: Bearer`.
    pub(crate) token: String,
    /// A PEM file of the only roots to trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Profiles {
    #[serde(default)]
    profile: BTreeMap<String, Profile>,
}

/// The profile of that name, if there is one.
pub(crate) fn load(name: &str) -> Result<Option<Profile>, Failure> {
    check_name(name)?;
    // Who has no home has no profile, and may do without.
    let Ok(path) = path() else { return Ok(None) };
    Ok(read(&path)?.profile.remove(name))
}

/// Remembers a profile; returns where.
pub(crate) fn save(name: &str, profile: Profile) -> Result<PathBuf, Failure> {
    check_name(name)?;
    let path = path()?;
    let mut profiles = read(&path)?;
    profiles.profile.insert(name.to_owned(), profile);
    write(&path, &profiles)?;
    Ok(path)
}

/// Forgets a profile; returns whether there was one.
pub(crate) fn remove(name: &str) -> Result<bool, Failure> {
    check_name(name)?;
    let path = path()?;
    let mut profiles = read(&path)?;
    let known = profiles.profile.remove(name).is_some();
    if known {
        write(&path, &profiles)?;
    }
    Ok(known)
}

/// Whether two URLs name the same server.
pub(crate) fn is_same(a: &str, b: &str) -> bool {
    a.trim_end_matches('/') == b.trim_end_matches('/')
}

fn check_name(name: &str) -> Result<(), Failure> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let fits = (1..=NAME_CHARACTERS_MAX).contains(&name.chars().count());
    if fits && name.chars().all(allowed) {
        return Ok(());
    }
    let name = output::printable(name);
    let message = format!("`{name}` is no name of a profile");
    Err(Failure::usage(message).hint("take 1 to 32 of letters, digits, `-` and `_`"))
}

fn path() -> Result<PathBuf, Failure> {
    let absolute = |name| {
        std::env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute())
    };
    let base = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|h| h.join(".config")));
    let base = base.ok_or_else(|| {
        Failure::usage("there is no place for profiles").hint("set XDG_CONFIG_HOME or HOME")
    })?;
    Ok(base.join("limen").join("profile.toml"))
}

fn read(path: &Path) -> Result<Profiles, Failure> {
    let named = |why: String| Failure::usage(format!("cannot use `{}`: {why}", path.display()));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Profiles::default()),
        Err(error) => return Err(named(error.to_string())),
    };
    let mode = file.metadata().map_err(|error| named(error.to_string()))?.permissions().mode();
    if mode & 0o077 != 0 {
        let hint = format!("it holds tokens; run `chmod 600 '{}'`", path.display());
        return Err(named("others may read it".into()).hint(hint));
    }
    let mut text = String::new();
    let size = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    if size.map_err(|error| named(error.to_string()))? as u64 > FILE_BYTES_MAX {
        return Err(named(format!("it exceeds {FILE_BYTES_MAX} bytes")));
    }
    // The message alone: the lines that the error would quote hold tokens.
    toml::from_str(&text).map_err(|error| named(error.message().to_owned()))
}

/// Writes beside the file and renames, so that a crash leaves the old one or the new one.
fn write(path: &Path, profiles: &Profiles) -> Result<(), Failure> {
    let attempt = || format!("cannot write `{}`", path.display());
    let text = toml::to_string(profiles).or_fail(attempt())?;
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).or_fail(attempt())?;
    }
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let written = write_private(&beside, text.as_bytes()).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.or_fail(attempt())
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.sync_all()
}
