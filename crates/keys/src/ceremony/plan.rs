//! The plan of a ceremony: one TOML file that all custodians read before they meet.
//!
//! It names who is there and where things go, never a secret. Unknown keys are refused, so that a slip
//! of the pen does not change what is done. Relative paths start at the folder of the plan.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::approval::PersonName;
use super::shares::{ShareError, Split};
use crate::custody::KeyHandle;
use crate::purpose::{Purpose, Suite};

/// Bytes in a plan.
pub const PLAN_BYTES_MAX: usize = 64 * 1024;
/// Years that a root holds where the plan does not say.
pub const YEARS_DEFAULT: u16 = 20;
/// Years that a root may hold.
pub const YEARS_MAX: u16 = 40;
/// Bytes in the name of a city; the certificate adds ` root`.
pub const CITY_BYTES_MAX: usize = 59;

/// A plan that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Whose root it is.
    pub city: City,
    /// What is done.
    pub kind: Kind,
    /// The algorithm of the root.
    pub suite: Suite,
    /// How many custodians there are, and how many can restore the root.
    pub split: Split,
    /// For how long the root's certificate holds.
    pub life: Duration,
    /// Where the signed transcript goes.
    pub transcript: PathBuf,
    /// Where the wrapped private half of the root goes.
    pub backup: PathBuf,
    /// Who will hold the root.
    pub root: Place,
    /// Who holds the root that is to be replaced; for a renewal only.
    pub old_root: Option<Place>,
    /// Who is there, in the order of their shares.
    pub custodians: Vec<Custodian>,
}

/// Whose root it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct City {
    /// What people call it: one line of at most [`CITY_BYTES_MAX`] bytes.
    pub name: String,
    /// Two capital letters (ISO 3166-1).
    pub country: String,
    /// The base of every URL that the city hands out, without `/` at the end.
    pub public_url: String,
}

/// What a ceremony does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Makes the first root of a city.
    Create,
    /// Makes a new root, which the old one certifies.
    Renew,
}

impl Kind {
    /// The word in plans and transcripts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Renew => "renew",
        }
    }
}

/// Who holds a root.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Place {
    /// A token behind PKCS#11.
    Token(TokenPlace),
    /// A sealed file: custody by software.
    File(SealedFile),
}

/// A token behind PKCS#11.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenPlace {
    /// The vendor's module: a shared library.
    pub module: PathBuf,
    /// The label of the token.
    pub label: String,
    /// Where its PIN is to be found: `file:PATH`, `env:NAME` or `prompt`.
    #[serde(default = "prompt")]
    pub pin: String,
    /// Where its security officer's PIN is to be found, for a token whose roots leave it only under a
    /// trusted wrapping key.
    #[serde(default)]
    pub officer_pin: Option<String>,
}

/// A sealed file and what opens it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedFile {
    /// The file; made where it is missing.
    pub path: PathBuf,
    /// The key file that opens it, made where it is missing; without one a passphrase is asked for.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
}

/// A person who holds one share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Custodian {
    /// The name, which the person types to confirm.
    pub name: PersonName,
    /// Where the share goes.
    pub share: Handover,
    /// The staff key, made where the file is missing.
    pub staff: SealedFile,
    /// The key that the file must hold, for a custodian whose key is known already.
    pub staff_key: Option<KeyHandle>,
}

/// How a custodian gets the share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handover {
    /// Shown on the screen to be written down, and cleared.
    Screen,
    /// Written to a new file with mode 600, best on a medium of the custodian's own.
    File(PathBuf),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    city: City,
    ceremony: RawCeremony,
    root: Place,
    #[serde(default)]
    old_root: Option<Place>,
    #[serde(rename = "custodian", default)]
    custodians: Vec<RawCustodian>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCeremony {
    kind: Kind,
    #[serde(default = "es256")]
    suite: String,
    threshold: u8,
    #[serde(default = "years")]
    years: u16,
    transcript: PathBuf,
    backup: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCustodian {
    name: String,
    share: String,
    staff: SealedFile,
    #[serde(default)]
    staff_key: Option<String>,
}

impl Plan {
    /// Reads a plan whose relative paths start at `folder`.
    ///
    /// # Errors
    /// [`PlanError`] naming the setting.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, PlanError> {
        if text.len() > PLAN_BYTES_MAX {
            return Err(PlanError::Size);
        }
        let raw: Raw =
            toml::from_str(text).map_err(|source| PlanError::Parse { source: Box::new(source) })?;
        let count = u8::try_from(raw.custodians.len()).unwrap_or(u8::MAX);
        let split = Split::new(raw.ceremony.threshold, count).map_err(PlanError::Split)?;
        let custodians = raw.custodians.into_iter().map(RawCustodian::check);
        let mut plan = Self {
            city: raw.city,
            kind: raw.ceremony.kind,
            suite: raw.ceremony.suite.parse().map_err(|_| setting("ceremony.suite", SUITE))?,
            split,
            life: Duration::from_secs(u64::from(raw.ceremony.years) * 365 * 86_400),
            transcript: raw.ceremony.transcript,
            backup: raw.ceremony.backup,
            root: raw.root,
            old_root: raw.old_root,
            custodians: custodians.collect::<Result<_, _>>()?,
        };
        plan.check(raw.ceremony.years)?;
        plan.move_paths(&mut |path| *path = folder.join(&*path));
        plan.check_paths()?;
        Ok(plan)
    }

    /// Applies `change` to every path of the plan that the ceremony writes to or reads from, the
    /// module of a token excepted.
    pub fn move_paths(&mut self, change: &mut dyn FnMut(&mut PathBuf)) {
        change(&mut self.transcript);
        change(&mut self.backup);
        for place in core::iter::once(&mut self.root).chain(&mut self.old_root) {
            if let Place::File(file) = place {
                file.move_paths(change);
            }
        }
        for custodian in &mut self.custodians {
            custodian.staff.move_paths(change);
            if let Handover::File(path) = &mut custodian.share {
                change(path);
            }
        }
    }

    fn check(&self, years: u16) -> Result<(), PlanError> {
        let City { name, country, public_url } = &self.city;
        if name.len() > CITY_BYTES_MAX || name.parse::<PersonName>().is_err() {
            return Err(setting("city.name", "expected one line of 1 to 59 bytes"));
        }
        if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(setting("city.country", "expected two capital letters (ISO 3166-1)"));
        }
        let is_url = public_url.starts_with("https://") || public_url.starts_with("http://");
        let is_plain = public_url.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_url || !is_plain || public_url.ends_with('/') || public_url.len() > 200 {
            return Err(setting("city.public_url", "expected a URL without `/` at its end"));
        }
        // What a token wraps and a sealed file takes back as PKCS#8.
        let is_wrapped = matches!(self.suite, Suite::Es256 | Suite::Es384);
        if !is_wrapped || !Purpose::CityRoot.allows(self.suite) {
            return Err(setting("ceremony.suite", SUITE));
        }
        if years == 0 || years > YEARS_MAX {
            return Err(setting("ceremony.years", "expected 1 to 40"));
        }
        if matches!(&self.old_root, Some(Place::Token(place)) if place.officer_pin.is_some()) {
            return Err(setting("old_root.token.officer_pin", "only the new root is wrapped"));
        }
        match (self.kind, &self.old_root) {
            (Kind::Create, Some(_)) => {
                return Err(setting("old_root", "only a renewal (`kind = \"renew\"`) has one"));
            }
            (Kind::Renew, None) => {
                return Err(setting("old_root", "a renewal must say who holds the old root"));
            }
            _ => {}
        }
        let mut names = BTreeSet::new();
        for custodian in &self.custodians {
            // Names that differ in case alone would be one name to whoever types them.
            if !names.insert(custodian.name.as_str().to_lowercase()) {
                return Err(PlanError::SameName { name: custodian.name.clone() });
            }
        }
        Ok(())
    }

    fn check_paths(&self) -> Result<(), PlanError> {
        let mut seen = BTreeSet::new();
        let mut same = None;
        self.clone().move_paths(&mut |path| {
            if !seen.insert(path.clone()) {
                same.get_or_insert_with(|| path.clone());
            }
        });
        match same {
            Some(path) => Err(PlanError::SamePath { path }),
            None if self.old_root.as_ref() == Some(&self.root) => {
                Err(setting("old_root", "the new root needs a place of its own"))
            }
            None => Ok(()),
        }
    }
}

impl Place {
    /// The same place, for who does not wrap a root there.
    #[must_use]
    pub fn without_officer(&self) -> Self {
        match self {
            Self::Token(place) => Self::Token(TokenPlace { officer_pin: None, ..place.clone() }),
            Self::File(_) => self.clone(),
        }
    }
}

impl SealedFile {
    fn move_paths(&mut self, change: &mut dyn FnMut(&mut PathBuf)) {
        change(&mut self.path);
        self.key_file.iter_mut().for_each(change);
    }
}

impl RawCustodian {
    fn check(self) -> Result<Custodian, PlanError> {
        let name = self.name.parse();
        let name =
            name.map_err(|_| setting("custodian.name", "expected one line of 1 to 64 bytes"))?;
        let share = match self.share.as_str() {
            "" => return Err(setting("custodian.share", "expected `screen` or a file")),
            "screen" => Handover::Screen,
            path => Handover::File(path.into()),
        };
        let staff_key = self.staff_key.as_deref().map(str::parse).transpose();
        let staff_key = staff_key.map_err(|_| {
            setting("custodian.staff_key", "expected `key_` and 32 hexadecimal digits")
        })?;
        Ok(Custodian { name, share, staff: self.staff, staff_key })
    }
}

const SUITE: &str = "expected `ES256` or `ES384`";

fn es256() -> String {
    Suite::Es256.as_str().to_owned()
}

const fn years() -> u16 {
    YEARS_DEFAULT
}

fn prompt() -> String {
    String::from("prompt")
}

const fn setting(key: &'static str, reason: &'static str) -> PlanError {
    PlanError::Setting { key, reason }
}

/// Why a plan is not taken.
#[derive(Debug)]
pub enum PlanError {
    /// More than [`PLAN_BYTES_MAX`].
    Size,
    /// The text is not what this program understands.
    Parse {
        /// Where and why, with the line.
        source: Box<toml::de::Error>,
    },
    /// Threshold and number of custodians do not go together.
    Split(ShareError),
    /// One setting is out of its range.
    Setting {
        /// Which, as `section.key`.
        key: &'static str,
        /// What to write instead.
        reason: &'static str,
    },
    /// Two custodians have one name.
    SameName {
        /// Which.
        name: PersonName,
    },
    /// Two things go to one place.
    SamePath {
        /// Which.
        path: PathBuf,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size => write!(f, "read plan: it is larger than `{PLAN_BYTES_MAX}` bytes"),
            Self::Parse { .. } => f.write_str("read plan"),
            Self::Split(error) => write!(f, "read plan: {error}"),
            Self::Setting { key, reason } => write!(f, "read plan: `{key}`: {reason}"),
            Self::SameName { name } => {
                write!(
                    f,
                    "read plan: two custodians are called `{name}`; add what tells them apart"
                )
            }
            Self::SamePath { path } => {
                write!(f, "read plan: two things would go to `{}`", path.display())
            }
        }
    }
}

impl core::error::Error for PlanError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Parse { source } => Some(source),
            _ => None,
        }
    }
}
