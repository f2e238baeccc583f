//! `limen key migrate`: moves a running city to another custodian, a token.
//!
//! Private keys do not move; trust does. The key service serves the old custodian beside the new one;
//! every level is rotated into the new one; from a named instant the old one signs nothing; and when
//! the last of its keys is destroyed, its section leaves the configuration.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use keys::custody::{Key, State};
use keys::purpose::{Purpose, Suite};
use keys::rotation::lives::OVERLAP;
use keys::rotation::next_rotation;
use keys::service::config::{Config as Keys, Held, OnToken, Retiring, Sealed};
use keys::token::Settings;
use keys::token::doctor::examine;
use keys::token::pin::PinSource;
use serde_json::{Value, json};
use server::city::ceremony::Custodians;
use server::city::files::open_keeper;
use server::city::rotation::{self, Done, Haste, Level, Order, Sharing, lives};
use server::config::Config;
use vocabulary::time::Instant;

use super::halves;
use super::reload::{Draft, status};
use super::rotate::{row, told};
use crate::city::root::{RootAtHand, with_root};
use crate::city::{Files, runtime};
use crate::failure::{Failure, OrFail};
use crate::field::get;
use crate::{output, world};

/// What every message of this command begins with.
const ATTEMPT: &str = "cannot move the keys";

#[derive(Args)]
#[command(
    after_help = "Run it where the key service runs, as its user, with the root at hand. New keys are \
    made on the\nnew token and published; each signs once whoever must believe it has learnt of it; the \
    old\ncustodian signs until the instant that is told. The PIN is in a file or in the environment, \
    since the\nservice starts anew. docs/guide/rotation.md has what happens to symmetric keys.\n\nExamples:\n  \
    limen key migrate --to harbour-keys --to-module /usr/lib/vendor/libpkcs11.so \\\n      \
    --pin file:/etc/limen/pin --folder harbour\n  \
    limen key migrate --finish --folder harbour"
)]
pub(crate) struct Migrate {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    root: RootAtHand,
    /// The label of the token that is to hold the keys of the city.
    #[arg(long, value_name = "LABEL", requires = "to_module", required_unless_present = "finish")]
    to: Option<String>,
    /// The PKCS#11 module of that token, a shared library.
    #[arg(long, value_name = "FILE")]
    to_module: Option<PathBuf>,
    /// Where its PIN is: file:PATH or env:NAME.
    #[arg(long, value_name = "SOURCE", required_unless_present = "finish")]
    pin: Option<PinSource>,
    /// From when on the old custodian signs nothing, RFC 3339; when all have learnt, where absent.
    #[arg(long, value_name = "INSTANT", value_parser = parse_instant, conflicts_with = "compromised")]
    at: Option<Instant>,
    /// The old custodian is in other hands: go over at once, whatever that closes.
    #[arg(long)]
    compromised: bool,
    /// Drop the old custodian, which holds no key any more.
    #[arg(long, conflicts_with_all = ["to", "at", "compromised"])]
    finish: bool,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

fn parse_instant(text: &str) -> Result<Instant, String> {
    Instant::parse_rfc3339(text).map_err(|error| error.to_string())
}

impl Migrate {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let config = Config::load(&self.files.config()).or_fail(ATTEMPT)?;
        if config.keys.service.is_none() {
            return Err(Failure::usage("the server opens its keystore itself")
                .hint("give the city a key service first: docs/guide/operate.md"));
        }
        let draft = Draft::of(&self.files.keys_config())?;
        if self.finish { self.drop_old(&config, draft) } else { self.move_to(&config, draft) }
    }

    fn move_to(&self, config: &Config, draft: Draft) -> Result<ExitCode, Failure> {
        let (settings, pin) = self.target()?;
        let old = old_name(draft.keys(), &settings.label)?;
        check(config, &settings, &pin)?;
        if draft.keys().retiring.is_none() {
            let made = halves::make_for(&self.files.keys_config(), draft.keys(), config)?;
            let keys = with_token(draft.keys().clone(), &settings, &pin, made.sealed.clone());
            let served = runtime()?.block_on(draft.put(config, keys));
            served.inspect_err(|_| made.discard())?;
        }
        if self.compromised {
            Level::ALL.iter().filter(|it| **it != Level::Root).for_each(|level| {
                eprintln!("limen: warning: {}", level.loss());
            });
        }
        let done = self.rotate(config, &old)?;
        let (ready, now) = (self.ready(config)?, world::now());
        let at = match self.at {
            _ if self.compromised => now,
            None => ready,
            Some(at) if ready <= at => at,
            Some(_) => {
                return Err(Failure::usage(format!(
                    "{ATTEMPT}: not everybody has learnt of the new ones before {ready}"
                ))
                .hint("they are made; name this instant or a later one, or leave out --at"));
            }
        };
        let draft = Draft::of(&self.files.keys_config())?;
        let mut keys = draft.keys().clone();
        if let Some(retiring) = &mut keys.retiring {
            retiring.at = Some(at.floor_to_second().to_string());
        }
        runtime()?.block_on(draft.put(config, keys))?;
        self.tell(&done, &old, at)
    }

    /// The token that is to hold the keys, and where its PIN is.
    fn target(&self) -> Result<(Settings, PinSource), Failure> {
        let (Some(label), Some(module)) = (&self.to, &self.to_module) else {
            return Err(Failure::usage("name the token: --to LABEL --to-module FILE"));
        };
        let pin = match &self.pin {
            Some(PinSource::File(path)) => {
                PinSource::File(std::path::absolute(path).or_fail(ATTEMPT)?)
            }
            None | Some(PinSource::Prompt) => {
                return Err(Failure::usage(
                    "the key service starts anew during the move, and nobody is there to be asked \
                     for the PIN",
                )
                .hint("name where it is: --pin file:PATH or env:NAME"));
            }
            Some(pin) => pin.clone(),
        };
        let module = std::path::absolute(module).or_fail(ATTEMPT)?;
        Ok((Settings { module, label: label.clone() }, pin))
    }

    fn rotate(&self, config: &Config, old: &str) -> Result<Vec<Done>, Failure> {
        let haste = if self.compromised { Haste::Compromised } else { Haste::Planned };
        let levels = Level::ALL.into_iter().filter(|level| *level != Level::Root).collect();
        let rotate = async |custodians: Custodians<'_>, sharing: Sharing| {
            let leaving = Some(old.to_owned());
            let order = Order { levels, operator: None, haste, sharing, leaving };
            rotation::rotate(config, custodians, &order, world::now()).await
        };
        with_root(&self.files, &self.root, config, rotate)
    }

    /// When every successor signs, and has for a day: answers under way are finished by then.
    fn ready(&self, config: &Config) -> Result<Instant, Failure> {
        let keys = keys_of(&self.files, config)?;
        let first_use = |key: &&Key| key.state == State::Published;
        let last = keys.iter().filter(first_use).map(|key| next_rotation(key, &lives()).0).max();
        let last = last.unwrap_or_else(world::now).max(world::now());
        let ready = last.saturating_add(OVERLAP);
        Ok(ready.floor_to_second())
    }

    fn tell(&self, done: &[Done], old: &str, at: Instant) -> Result<ExitCode, Failure> {
        let at = at.floor_to_second().to_string();
        if self.json {
            let rows: Vec<_> = done.iter().map(row).collect();
            output::json(&json!({ "done": rows, "from": old, "silent_from": at }))?;
        } else {
            output::text(&told(done))?;
            output::text(&format!(
                "`{old}` signs nothing from {at} on; what it signed is believed until it ends\n"
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Drops the section of the old custodian, where nothing is left with it.
    fn drop_old(&self, config: &Config, draft: Draft) -> Result<ExitCode, Failure> {
        let Some(retiring) = &draft.keys().retiring else {
            return Err(Failure::usage("no move is under way"));
        };
        let old = name_of(retiring.held());
        let keys = keys_of(&self.files, config)?;
        let left: Vec<&Key> = keys.iter().filter(|key| key.is_held_by(&old)).collect();
        if let Some(last) = left.iter().map(|key| next_rotation(key, &lives()).0).max() {
            let active = left.iter().filter(|key| key.state == State::Active).count();
            return Err(Failure::usage(format!(
                "`{old}` still holds {} keys, {active} of them active",
                left.len()
            ))
            .hint(format!("a server that runs destroys them in time; look again on {last}")));
        }
        let told = runtime()?.block_on(status(config));
        let secrets = told.as_ref().and_then(|told| get(get(told, "retiring"), "secrets").as_u64());
        let has_secrets = secrets.is_none_or(|secrets| secrets > 0);
        if let Some(secrets) = secrets.filter(|it| *it > 0 && retiring.token.is_some()) {
            return Err(Failure::usage(format!(
                "`{old}` still holds {secrets} symmetric keys of readers and cards"
            ))
            .hint("they do not move: docs/guide/rotation.md says when they end"));
        }
        let mut next = draft.keys().clone();
        next.retiring = None;
        if next.token.is_some() && !has_secrets {
            next.vault = None;
        }
        runtime()?.block_on(draft.put(config, next))?;
        if self.json {
            output::json(&json!({ "dropped": old }))?;
        } else {
            output::text(&format!("`{old}` is dropped\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The keys as the key service lists them, or as this process finds them where it does not run.
fn keys_of(files: &Files, config: &Config) -> Result<Arc<[Key]>, Failure> {
    runtime()?.block_on(async {
        match open_keeper(config).await {
            Ok(keeper) => Ok(keeper.custody.keys()),
            Err(_) => {
                let list = async |keys: &dyn keys::custody::Custody| Ok(keys.keys());
                crate::city::with_service(&files.keys_config(), config, list).await
            }
        }
    })
}

/// The old custodian of the move to the token `to`, which may be under way.
fn old_name(keys: &Keys, to: &str) -> Result<String, Failure> {
    let is_there = keys.token.as_ref().is_some_and(|token| token.label == to);
    match (&keys.retiring, is_there) {
        (Some(retiring), true) => Ok(name_of(retiring.held())),
        (Some(_), false) => Err(Failure::usage("another move is under way")
            .hint("go through with it first: limen key migrate --finish")),
        (None, true) => Err(Failure::usage("the keys lie on that token already")),
        (None, false) => Ok(name_of(keys.held())),
    }
}

/// As `Key::held_by` names it.
fn name_of(held: Option<Held<'_>>) -> String {
    match held {
        Some(Held::Token(token)) => format!("token:{}", token.label),
        _ => String::from("software"),
    }
}

/// The configuration with the token in place of who held the keys, who is kept beside it. Either has
/// halves of its own: a key of the one is never completed by the other.
fn with_token(mut keys: Keys, settings: &Settings, pin: &PinSource, halves: Sealed) -> Keys {
    let (keystore, token) = (keys.keystore.take(), keys.token.take());
    keys.retiring = Some(Retiring { at: None, keystore, token, halves: keys.halves.take() });
    keys.token = Some(OnToken::new(settings, pin));
    keys.halves = Some(halves);
    keys
}

/// Whether the token is there, opens, and can hold every key of a city.
fn check(config: &Config, settings: &Settings, pin: &PinSource) -> Result<(), Failure> {
    let pin = pin.read(&settings.label).or_fail(ATTEMPT)?;
    let report = examine(settings, Some(pin)).or_fail(ATTEMPT)?;
    let purposes = report.inside.map(|inside| inside.purposes).unwrap_or_default();
    for purpose in Purpose::ALL.into_iter().filter(|purpose| *purpose != Purpose::CityRoot) {
        let suite = match config.keys.suites.of(purpose) {
            // Its other half lies beside the token.
            Suite::Es256MlDsa44 => Suite::Es256,
            suite => suite,
        };
        let lacks = match purposes.iter().find(|it| it.purpose == purpose && it.suite == suite) {
            Some(holding) => holding.missing.map(|mechanism| format!("has no `{mechanism}`")),
            None => Some(format!("makes no keys of suite `{suite}`")),
        };
        if let Some(lacks) = lacks {
            return Err(Failure::usage(format!(
                "{ATTEMPT}: the token {lacks}, which keys for `{purpose}` need"
            )));
        }
    }
    Ok(())
}

/// Whether a status tells of the custodians that `keys` names.
pub(super) fn is_served(told: &Value, keys: &Keys) -> bool {
    let label = keys.token.as_ref().map(|token| token.label.as_str());
    let retiring = get(told, "retiring");
    let at = keys.retiring.as_ref().and_then(|it| it.at.as_deref());
    get(get(told, "token"), "label").as_str() == label
        && get(told, "halves").as_bool() == Some(keys.halves.is_some())
        && retiring.is_null() == keys.retiring.is_none()
        && get(retiring, "at").as_str() == at
}
