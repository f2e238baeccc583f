//! The one file that configures a reader on a machine: its folders, its slots, its bounds.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use edge::reader_host::Settings;
use presentation::apdu::LinkLimits;
use presentation::profile::{ParseProfileError, Profile};
use reader::taps::{TimeBound, TimeBounds};
use serde::Deserialize;
use toml::Spanned;
use vocabulary::code::PlaceCode;

use crate::failure::Failure;
use crate::output;

/// Bytes in a configuration.
const BYTES_MAX: u64 = 64 * 1024;
/// Slots of one machine: PC/SC Lite has no more readers.
const SLOTS_MAX: usize = 16;
const MS_MIN: u64 = 1;
const MS_MAX: u64 = 120_000;
const MINUTES_MAX: u64 = 24 * 60;

/// What a configuration says.
#[derive(Debug)]
#[cfg_attr(not(feature = "pcsc"), allow(dead_code, reason = "checked, and used with PC/SC"))]
pub(super) struct Config {
    pub(super) slots: Vec<Slot>,
    pub(super) settings: Settings,
    pub(super) sync: Option<Sync>,
}

/// One reader of the system, and what it stands at.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "pcsc"), allow(dead_code, reason = "checked, and used with PC/SC"))]
pub(super) struct Slot {
    /// Its PC/SC name, with the numbers behind it or without.
    pub(super) reader: String,
    pub(super) door: PlaceCode,
    /// The folder of the identity under which it works.
    pub(super) folder: PathBuf,
}

/// When to talk to the city.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "pcsc"), allow(dead_code, reason = "checked, and used with PC/SC"))]
pub(super) struct Sync {
    pub(super) every: Duration,
    pub(super) journal: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    folder: PathBuf,
    #[serde(default)]
    extended_apdus: bool,
    slot: Vec<SlotTable>,
    profile: Option<Spanned<String>>,
    #[serde(default)]
    bounds: BoundsTable,
    sync: Option<SyncTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SlotTable {
    reader: Spanned<String>,
    door: Spanned<String>,
    folder: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct BoundsTable {
    low: Option<BoundTable>,
    normal: Option<BoundTable>,
    high: Option<BoundTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BoundTable {
    apdu_ms: Spanned<u64>,
    total_ms: Spanned<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SyncTable {
    every_minutes: Spanned<u64>,
    #[serde(default = "yes")]
    journal: bool,
}

const fn yes() -> bool {
    true
}

impl Config {
    /// Reads a file; relative folders start at the folder of the file.
    pub(super) fn load(path: &Path) -> Result<Self, Failure> {
        let shown = output::printable(&path.display().to_string());
        let failed = |error: std::io::Error| Failure::usage(format!("`{shown}`: {error}"));
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
        if text.len() as u64 > BYTES_MAX {
            return Err(Failure::usage(format!("`{shown}` is longer than {BYTES_MAX} bytes")));
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::parse(&text, folder).map_err(|why| {
            Failure::usage(format!("`{shown}`: {}", output::printable_lines(&why)))
                .hint("docs/guide/reader-example.toml shows every key")
        })
    }

    /// Reads a text; the error names the key and its line.
    fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let at = |key: &str, place: usize, why: &str| {
            let line = text.get(..place).unwrap_or(text).matches('\n').count() + 1;
            Err(format!("line {line}: `{key}` {why}"))
        };
        if file.slot.is_empty() || file.slot.len() > SLOTS_MAX {
            return Err(format!("there must be between 1 and {SLOTS_MAX} tables `[[slot]]`"));
        }
        let (mut slots, mut names) = (Vec::new(), BTreeSet::new());
        for slot in file.slot {
            let (span, name) = (slot.reader.span(), slot.reader.into_inner());
            if name.trim().is_empty() || !names.insert(name.clone()) {
                return at("slot.reader", span.start, "is empty or names a reader a second time");
            }
            let (span, door) = (slot.door.span(), slot.door.into_inner());
            let Ok(door) = door.parse() else {
                return at("slot.door", span.start, "is no place, such as `harbour/quay/gate-3`");
            };
            let own = slot.folder.unwrap_or_else(|| file.folder.clone());
            slots.push(Slot { reader: name, door, folder: folder.join(own) });
        }
        let mut bounds = TimeBounds::default();
        let classes = [
            ("low", file.bounds.low, &mut bounds.low),
            ("normal", file.bounds.normal, &mut bounds.normal),
            ("high", file.bounds.high, &mut bounds.high),
        ];
        for (class, table, bound) in classes {
            let Some(BoundTable { apdu_ms, total_ms }) = table else { continue };
            for (key, value) in [("apdu_ms", &apdu_ms), ("total_ms", &total_ms)] {
                if !(MS_MIN..=MS_MAX).contains(value.get_ref()) {
                    let why = format!("must lie between {MS_MIN} and {MS_MAX}");
                    return at(&format!("bounds.{class}.{key}"), value.span().start, &why);
                }
            }
            if total_ms.get_ref() < apdu_ms.get_ref() {
                let key = format!("bounds.{class}.total_ms");
                return at(&key, total_ms.span().start, "is less than `apdu_ms`");
            }
            let [apdu, total] =
                [apdu_ms, total_ms].map(|ms| Duration::from_millis(ms.into_inner()));
            *bound = TimeBound { apdu, total };
        }
        let sync = match file.sync {
            Some(SyncTable { every_minutes, .. })
                if !(1..=MINUTES_MAX).contains(every_minutes.get_ref()) =>
            {
                let why = format!("must lie between 1 and {MINUTES_MAX}");
                return at("sync.every_minutes", every_minutes.span().start, &why);
            }
            table => table.map(|table| Sync {
                every: Duration::from_secs(60 * table.every_minutes.into_inner()),
                journal: table.journal,
            }),
        };
        let link = if file.extended_apdus { LinkLimits::EXTENDED } else { LinkLimits::SHORT };
        let least = match file.profile {
            None => Profile::Express,
            Some(name) => match name.get_ref().parse() {
                Ok(least) => least,
                Err(error) => {
                    let error: ParseProfileError = error;
                    return at("profile", name.span().start, &format!("is {error}"));
                }
            },
        };
        Ok(Self { slots, settings: Settings { link, bounds, least }, sync })
    }

    /// The folders, each once.
    pub(super) fn folders(&self) -> BTreeSet<&Path> {
        self.slots.iter().map(|slot| slot.folder.as_path()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../../docs/guide/reader-example.toml");

    #[test]
    fn the_example_is_taken_and_its_bounds_are_for_the_high_class_alone() {
        let config = Config::parse(EXAMPLE, Path::new("/etc/limen")).unwrap();
        let high = TimeBound::of_ms(400, 1_200);
        assert_eq!(config.settings.bounds, TimeBounds { high, ..TimeBounds::default() });
        assert_eq!(config.settings.link, LinkLimits::SHORT);
        assert_eq!(config.slots.len(), 2);
        assert_eq!(config.slots[0].folder, Path::new("/etc/limen/gate-3"));
        assert_eq!(config.folders().len(), 2);
        assert_eq!(config.sync.unwrap().every, Duration::from_secs(900));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let good = "folder = \"a\"\n[[slot]]\nreader = \"R\"\ndoor = \"harbour/gate\"\n";
        assert!(Config::parse(good, Path::new("")).is_ok());
        for (more, culprit) in [
            ("colour = 1", "colour"),
            ("[[slot]]\nreader = \"R\"\ndoor = \"harbour/b\"", "line 6: `slot.reader`"),
            ("[[slot]]\nreader = \"S\"\ndoor = \"No Place\"", "line 7: `slot.door`"),
            ("[bounds.high]\napdu_ms = 0\ntotal_ms = 5", "line 6: `bounds.high.apdu_ms`"),
            ("[bounds.low]\napdu_ms = 9\ntotal_ms = 5", "line 7: `bounds.low.total_ms`"),
            ("[bounds.low]\napdu_ms = 9", "total_ms"),
            ("[bounds.huge]\napdu_ms = 9\ntotal_ms = 9", "huge"),
            ("[sync]\nevery_minutes = 0", "line 6: `sync.every_minutes`"),
            ("[[slot]]\nreader = 7\ndoor = \"harbour/b\"", "line 6"),
        ] {
            let error = Config::parse(&format!("{good}{more}"), Path::new("")).unwrap_err();
            assert!(error.contains(culprit), "{more}: {error}");
        }
        let error = Config::parse("folder = \"a\"\nslot = []", Path::new("")).unwrap_err();
        assert!(error.contains("[[slot]]"), "{error}");
    }
}
