//! `limen reader run`: waits for phones and decides, without any network.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use credential::crypto::P256Secret;
use credential::jose::base64url;
use edge::link::Field;
use edge::reader_host::{Deed, ReaderHost, Settings, TapReport};
use presentation::profile::Profile;
use reader::engine::sabotage::{DangerSabotage, NAMES};
use reader::table::Door;
use serde_json::{Value, json};
use vocabulary::code::PlaceCode;

use super::Place;
use crate::failure::{Failure, OrFail, chain};
use crate::field::get;
use crate::{output, world};

#[derive(Args)]
#[command(after_help = "Example:\n  \
    limen reader run --config reader.toml --json\n  \
    limen reader run --folder gate-3 --port 7000 --door harbour/quay/gate-3\n\n\
    With a configuration it attends real readers through PC/SC, without one a port on loopback.")]
pub(crate) struct Run {
    /// The readers to attend, TOML; docs/guide/reader-example.toml shows one.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["folder", "port", "door"])]
    config: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
    /// The port of the field on loopback; a free one for 0.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The door at which phones are held to this reader; needed where it serves several.
    #[arg(long, value_name = "PLACE")]
    door: Option<PlaceCode>,
    /// Take no tap by less than this profile: express, fast, standard or identity. The trust bundle may
    /// ask for more.
    #[arg(long, value_name = "PROFILE", default_value_t = Profile::Express)]
    profile: Profile,
    /// End after so many taps.
    #[arg(long, value_name = "N")]
    taps: Option<u64>,
    /// Print one line of JSON per event.
    #[arg(long)]
    json: bool,
    /// Pretend that the clock of this reader is so many days ahead.
    #[arg(long, hide = true, default_value_t = 0, value_name = "DAYS")]
    danger_days_ahead: u32,
    /// Break one measure on purpose.
    #[arg(long, hide = true, value_name = "NAME")]
    danger_sabotage: Option<String>,
}

impl Run {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        if let Some(config) = &self.config {
            return self.attend(config);
        }
        let settings = Settings { least: self.profile, ..Settings::default() };
        let mut host = self.place.open_with(settings)?;
        if let Some(name) = &self.danger_sabotage {
            let sabotage = DangerSabotage::named(name).ok_or_else(|| {
                Failure::usage(format!("no such sabotage: `{name}`")).hint(NAMES.join(", "))
            })?;
            host.danger_engine().danger_sabotage(sabotage);
        }
        let door = self.door(&host)?;
        let field = Field::open(self.port).or_fail("cannot open the field")?;
        let address = field.address().or_fail("cannot open the field")?;
        self.tell(
            &json!({ "event": "listening", "reader": address.to_string(), "door": door.as_str() }),
        )?;
        let ahead = Duration::from_secs(u64::from(self.danger_days_ahead) * 86_400);
        let clock = || world::now().saturating_add(ahead);
        let mut taps = 0;
        while self.taps.is_none_or(|limit| taps < limit) {
            let mut link = field.accept().or_fail("cannot wait for phones")?;
            let secret = P256Secret::from_bytes(world::entropy()?);
            match host.tap(&mut link, door.clone(), secret, &clock) {
                Ok(report) => self.tell(&describe(&report))?,
                Err(error) => {
                    self.tell(&json!({ "event": "broken-tap", "reason": chain(&error) }))?;
                }
            }
            taps += 1;
        }
        Ok(ExitCode::SUCCESS)
    }

    #[cfg(feature = "pcsc")]
    fn attend(&self, config: &Path) -> Result<ExitCode, Failure> {
        if self.danger_sabotage.is_some() || self.danger_days_ahead > 0 {
            return Err(Failure::usage("a real reader takes no sabotage"));
        }
        let config = super::config::Config::load(config)?;
        super::attend::run(&config, self.taps, &|event| self.tell(event))?;
        Ok(ExitCode::SUCCESS)
    }

    #[cfg(not(feature = "pcsc"))]
    fn attend(&self, config: &Path) -> Result<ExitCode, Failure> {
        super::config::Config::load(config)?;
        Err(super::without_pcsc())
    }

    fn door(&self, host: &ReaderHost) -> Result<PlaceCode, Failure> {
        if let Some(door) = &self.door {
            return Ok(door.clone());
        }
        let no_bundle = || {
            Failure::broken("the reader has no bundle yet")
                .hint("fetch one with `limen reader sync`")
        };
        let bundle = host.engine().bundle().ok_or_else(no_bundle)?;
        let doors: Vec<&PlaceCode> =
            bundle.bundle().table.doors().iter().map(Door::place).collect();
        match doors.as_slice() {
            [door] => Ok((*door).clone()),
            _ => {
                let names = doors.iter().map(|door| door.as_str()).collect::<Vec<_>>().join(", ");
                Err(Failure::usage("this reader serves several doors")
                    .hint(format!("name one with `--door`: {names}")))
            }
        }
    }

    fn tell(&self, event: &Value) -> Result<(), Failure> {
        if self.json {
            return output::text(&format!("{event}\n"));
        }
        let text = |name: &str| event[name].as_str().unwrap_or_default().escape_debug().to_string();
        let line = match get(event, "event").as_str() {
            Some("listening") => {
                format!("waiting at {} for phones at {}", text("door"), text("reader"))
            }
            Some("tap") => {
                let by = match text("profile") {
                    none if none.is_empty() => none,
                    profile => format!("by the {profile} tap, "),
                };
                let took = get(event, "duration_us");
                format!("{}: {by}{} ({took} us)", text("outcome"), text("reason"))
            }
            Some("ready") => {
                format!("waiting at {} for cards in {}", text("door"), text("reader"))
            }
            Some("synced") => format!("{}: talked to the city", text("folder")),
            Some("not-synced") => format!("{}: {}", text("folder"), text("reason")),
            Some("broken-tap") | None => format!("the tap broke off: {}", text("reason")),
            Some(what) => format!("{}: {what}: {}", text("slot"), text("reason")),
        };
        output::text(&format!("{line}\n"))
    }
}

/// One tap as an event.
pub(super) fn describe(report: &TapReport) -> Value {
    let (outcome, code, reason) = match &report.deed {
        Deed::Unlock { duration_ms } => {
            ("granted", "granted", format!("the door is open for {duration_ms} ms"))
        }
        Deed::Refuse { reason, rejection } => {
            let detail = rejection.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
            ("refused", reason.as_str(), format!("{reason}{detail}"))
        }
    };
    let apdus: Vec<[String; 2]> = report
        .apdus
        .iter()
        .map(|(command, response)| [base64url::encode(command), base64url::encode(response)])
        .collect();
    json!({
        "event": "tap",
        "door": report.door.as_str(),
        "outcome": outcome,
        "code": code,
        "reason": reason,
        "profile": report.profile.map(Profile::as_str),
        "duration_us": report.duration_us,
        "apdus": apdus,
    })
}
