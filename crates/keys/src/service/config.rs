//! The configuration of a key service: one TOML file, unknown keys refused.
//!
//! Secrets stand in files of their own, in the environment or in somebody's head; here they are named.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vocabulary::time::Instant;

use super::decide::Rights;
use super::rate::{SIGNATURES_PER_MINUTE, SIGNATURES_PER_MINUTE_MAX};
use crate::config_file::{self, ConfigError};
use crate::purpose::Purpose;
use crate::token::Settings;
use crate::token::pin::PinSource;
use crate::vault::desk::VaultRight;
use crate::wire::pairing::NAME_BYTES_MAX;

/// Clients of one service.
pub const CLIENTS_MAX: usize = 64;

/// Everything that a key service must be told.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The socket, in a folder of its own.
    pub socket: PathBuf,
    /// The group that may reach the socket; none where the user of the service alone may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// The folder of the journal of uses.
    pub journal: PathBuf,
    /// Clients may run as the user of the service, who can read all that the service can: for
    /// trying things out.
    #[serde(default)]
    pub same_user: bool,
    /// A sealed file that holds the keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keystore: Option<Sealed>,
    /// A token that holds the keys, instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<OnToken>,
    /// A sealed file for the ML-DSA halves of hybrid keys, whose other halves lie on the token. A
    /// keystore needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halves: Option<Sealed>,
    /// Who held the keys before: during a move to the custodian above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retiring: Option<Retiring>,
    /// A sealed file that holds the symmetric keys; beside a token, those of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<Sealed>,
    /// Who may ask, and for what.
    #[serde(default, rename = "client")]
    pub clients: Vec<Client>,
}

/// The old custodian of a city that moves: its keys sign until the named instant.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Retiring {
    /// From when on it signs nothing, RFC 3339; never by itself where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// A sealed file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keystore: Option<Sealed>,
    /// A token, instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<OnToken>,
    /// A sealed file for the ML-DSA halves of the hybrid keys on that token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halves: Option<Sealed>,
}

impl Retiring {
    /// From when on it signs nothing.
    #[must_use]
    pub fn instant(&self) -> Option<Instant> {
        Instant::parse_rfc3339(self.at.as_deref()?).ok()
    }

    /// The old custodian; none unless exactly one is named.
    #[must_use]
    pub const fn held(&self) -> Option<Held<'_>> {
        Held::of(self.keystore.as_ref(), self.token.as_ref())
    }
}

/// Where keys lie.
#[derive(Clone, Copy, Debug)]
pub enum Held<'c> {
    /// In a sealed file.
    Sealed(&'c Sealed),
    /// On a token.
    Token(&'c OnToken),
}

impl<'c> Held<'c> {
    const fn of(keystore: Option<&'c Sealed>, token: Option<&'c OnToken>) -> Option<Self> {
        match (keystore, token) {
            (Some(sealed), None) => Some(Self::Sealed(sealed)),
            (None, Some(token)) => Some(Self::Token(token)),
            _ => None,
        }
    }

    fn check(self, keys: [&'static str; 2]) -> Result<(), ConfigError> {
        let [sealed_key, pin_key] = keys;
        let (key, reason) = match self {
            Self::Sealed(it) if it.key_file.is_some() == it.passphrase_file.is_some() => {
                (sealed_key, "name a `key_file` or a `passphrase_file`, and only one")
            }
            Self::Token(token) if token.pin().is_none() => {
                (pin_key, "name a `pin_file`, a `pin_env` or `pin_prompt`, and only one")
            }
            _ => return Ok(()),
        };
        Err(ConfigError::Setting { key, reason: reason.into() })
    }
}

/// A sealed file, and what opens it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// The file.
    pub path: PathBuf,
    /// 32 bytes that open it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// A file with the passphrase that opens it, instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase_file: Option<PathBuf>,
}

/// A token behind PKCS#11, and where its PIN is to be found.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OnToken {
    /// The vendor's module, a shared library.
    pub module: PathBuf,
    /// The label of the token.
    pub label: String,
    /// A file that holds the PIN, of its owner alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_file: Option<PathBuf>,
    /// A variable of the environment that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_env: Option<String>,
    /// Somebody at the terminal is asked for it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub pin_prompt: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl OnToken {
    /// A token, with its PIN where `pin` says.
    #[must_use]
    pub fn new(settings: &Settings, pin: &PinSource) -> Self {
        let Settings { module, label } = settings.clone();
        let (mut pin_file, mut pin_env, mut pin_prompt) = (None, None, false);
        match pin {
            PinSource::File(path) => pin_file = Some(path.clone()),
            PinSource::Environment(name) => pin_env = Some(name.clone()),
            PinSource::Prompt => pin_prompt = true,
        }
        Self { module, label, pin_file, pin_env, pin_prompt }
    }

    /// The token.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings { module: self.module.clone(), label: self.label.clone() }
    }

    /// Where the PIN is; none unless exactly one place is named.
    #[must_use]
    pub fn pin(&self) -> Option<PinSource> {
        match (&self.pin_file, &self.pin_env, self.pin_prompt) {
            (Some(path), None, false) => Some(PinSource::File(path.clone())),
            (None, Some(name), false) => Some(PinSource::Environment(name.clone())),
            (None, None, true) => Some(PinSource::Prompt),
            _ => None,
        }
    }
}

/// One client.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Its name, by which it is paired.
    pub name: String,
    /// The file of the secret that it shares with the service.
    pub pairing: PathBuf,
    /// The user as whom it runs; that of the service where nothing is said, which needs `same_user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The purposes whose keys it may sign with.
    #[serde(default)]
    pub sign: Vec<String>,
    /// Whether it may have keys made and attach certificates.
    #[serde(default)]
    pub generate: bool,
    /// Whether it may move keys on.
    #[serde(default)]
    pub set_state: bool,
    /// Whether it may destroy retired keys.
    #[serde(default)]
    pub destroy: bool,
    /// What it may ask the vault for: `readers`, `cards`, `personalise`, `handles`.
    #[serde(default)]
    pub vault: Vec<String>,
    /// Signatures per minute.
    #[serde(default = "usual_rate")]
    pub signatures_per_minute: u32,
}

const fn usual_rate() -> u32 {
    SIGNATURES_PER_MINUTE
}

impl Client {
    /// What it may do.
    ///
    /// # Errors
    /// The word that is no purpose.
    pub fn rights(&self) -> Result<Rights, String> {
        let purpose = |word: &String| word.parse::<Purpose>().map_err(|_| word.clone());
        let sign: Result<BTreeSet<_>, _> = self.sign.iter().map(purpose).collect();
        let right = |word: &String| {
            let mut rights = VaultRight::ALL.into_iter();
            rights.find(|right| right.as_str() == word).ok_or_else(|| word.clone())
        };
        let vault: Result<BTreeSet<_>, _> = self.vault.iter().map(right).collect();
        let (generate, set_state, destroy) = (self.generate, self.set_state, self.destroy);
        Ok(Rights { sign: sign?, generate, set_state, destroy, vault: vault? })
    }
}

impl Config {
    /// Reads and checks a file. Relative paths in it are relative to the folder of the file.
    ///
    /// # Errors
    /// [`ConfigError`], naming the file or the setting.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let mut config = Self::parse(&config_file::read(path)?)?;
        config.resolve(path.parent().unwrap_or(Path::new(".")));
        Ok(config)
    }

    /// Reads and checks a text.
    ///
    /// # Errors
    /// [`ConfigError::Parse`] or [`ConfigError::Setting`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = config_file::parse(text)?;
        config.check()?;
        Ok(config)
    }

    /// Where the keys lie; none unless exactly one place is named.
    #[must_use]
    pub const fn held(&self) -> Option<Held<'_>> {
        Held::of(self.keystore.as_ref(), self.token.as_ref())
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// [`ConfigError::Setting`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, reason: String| Err(ConfigError::Setting { key, reason });
        let Some(held) = self.held() else {
            let reason = "name a `[keystore]` or a `[token]` that holds the keys, and only one";
            return refuse("keystore", reason.into());
        };
        held.check(["keystore.key_file", "token.pin_file"])?;
        if let Some(retiring) = &self.retiring {
            let Some(old) = retiring.held() else {
                let reason = "name a `keystore` or a `token` that held the keys, and only one";
                return refuse("retiring.keystore", reason.into());
            };
            old.check(["retiring.keystore.key_file", "retiring.token.pin_file"])?;
            let is_same = match (old, held) {
                (Held::Sealed(old), Held::Sealed(new)) => old.path == new.path,
                (Held::Token(old), Held::Token(new)) => old.label == new.label,
                _ => false,
            };
            if is_same {
                return refuse("retiring", "the keys lie there now: name where they lay".into());
            }
            check_halves(retiring.halves.as_ref(), old, "retiring.halves")?;
            if retiring.at.is_some() && retiring.instant().is_none() {
                return refuse("retiring.at", "must be an instant of RFC 3339".into());
            }
        }
        check_halves(self.halves.as_ref(), held, "halves")?;
        if let Some(vault) = &self.vault {
            Held::Sealed(vault).check(["vault.key_file", "vault"])?;
        }
        if self.clients.len() > CLIENTS_MAX {
            return refuse("client", format!("there may be `{CLIENTS_MAX}` of them"));
        }
        let mut names = BTreeSet::new();
        for client in &self.clients {
            let name = client.name.as_str();
            if name.is_empty() || name.len() > NAME_BYTES_MAX || !names.insert(name) {
                let reason = "must have `1` to `64` bytes and stand once";
                return refuse("client.name", format!("`{name}` {reason}"));
            }
            if let Err(word) = client.rights() {
                return refuse("client.sign", format!("`{word}` of `{name}` is no purpose"));
            }
            if !(1..=SIGNATURES_PER_MINUTE_MAX).contains(&client.signatures_per_minute) {
                let reason = format!("must be `1` to `{SIGNATURES_PER_MINUTE_MAX}`");
                return refuse("client.signatures_per_minute", reason);
            }
        }
        Ok(())
    }

    fn resolve(&mut self, folder: &Path) {
        let (old_sealed, old_token) = match &mut self.retiring {
            Some(retiring) => {
                ([retiring.keystore.as_mut(), retiring.halves.as_mut()], retiring.token.as_mut())
            }
            None => ([None, None], None),
        };
        let sealed = self.keystore.iter_mut().chain(&mut self.halves);
        let sealed = sealed.chain(&mut self.vault).chain(old_sealed.into_iter().flatten());
        let sealed = sealed.flat_map(|sealed| {
            let optional = sealed.key_file.iter_mut().chain(&mut sealed.passphrase_file);
            std::iter::once(&mut sealed.path).chain(optional)
        });
        let token = self
            .token
            .iter_mut()
            .chain(old_token)
            .flat_map(|token| std::iter::once(&mut token.module).chain(&mut token.pin_file));
        let pairings = self.clients.iter_mut().map(|client| &mut client.pairing);
        for path in [&mut self.socket, &mut self.journal]
            .into_iter()
            .chain(sealed)
            .chain(token)
            .chain(pairings)
        {
            *path = folder.join(&*path);
        }
    }
}

/// Halves stand beside a token, and something opens them.
fn check_halves(
    halves: Option<&Sealed>,
    held: Held<'_>,
    key: &'static str,
) -> Result<(), ConfigError> {
    let reason = match (halves, held) {
        (None, _) => return Ok(()),
        (Some(_), Held::Sealed(_)) => {
            "are for keys on a token; a keystore holds both halves itself"
        }
        (Some(halves), Held::Token(_)) => {
            return Held::Sealed(halves).check([key, key]);
        }
    };
    Err(ConfigError::Setting { key, reason: reason.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        socket = "run/keys.sock"
        journal = "uses"
        [keystore]
        path = "city.keys"
        key_file = "city.key"
        [[client]]
        name = "server"
        pairing = "server.pairing"
        sign = ["bundle", "checkpoint"]
        generate = true
    "#;

    fn check(replace: (&str, &str), culprit: &str) {
        assert!(Config::parse(GOOD).is_ok());
        let text = GOOD.replace(replace.0, replace.1);
        assert_ne!(text, GOOD);
        let error = Config::parse(&text).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(format!("{error} {source}").contains(culprit), "{error} {source}");
    }

    #[test]
    fn wrong_settings_are_refused_by_name() {
        check(("journal =", "colour = 1\njournal ="), "colour");
        check(("generate = true", "pin = \"1234\""), "pin");
        check(("key_file = \"city.key\"", ""), "keystore.key_file");
        check(("\"bundle\"", "\"bundles\""), "`bundles` of `server`");
        check(("name = \"server\"", "name = \"\""), "client.name");
        check(("[[client]]", "[halves]\npath = \"h\"\nkey_file = \"k\"\n[[client]]"), "`halves`");
        check(("generate = true", "signatures_per_minute = 0"), "client.signatures_per_minute");
        check(("[[client]]", "[token]\nmodule = \"m\"\nlabel = \"l\"\n[[client]]"), "`keystore`");
        check(("[[client]]", "[vault]\npath = \"v\"\n[[client]]"), "vault.key_file");
        let twice = GOOD.split_once("[[client]]").map_or("", |(_, client)| client);
        check(("generate = true", &format!("[[client]]{twice}")), "stand once");
        let clients = |count: usize| {
            let client = |n| format!("[[client]]\nname = \"c{n}\"\npairing = \"p\"\n");
            let head = GOOD.split_once("[[client]]").map_or("", |(head, _)| head);
            Config::parse(&[head.to_owned(), (0..count).map(client).collect()].concat())
        };
        assert!(clients(CLIENTS_MAX).is_ok());
        assert!(clients(CLIENTS_MAX + 1).is_err());
    }

    #[test]
    fn a_token_has_one_place_for_its_pin() {
        let with = |pin: &str| {
            let keystore =
                "[keystore]\n        path = \"city.keys\"\n        key_file = \"city.key\"";
            let token = format!("[token]\nmodule = \"/m.so\"\nlabel = \"city\"\n{pin}");
            Config::parse(&GOOD.replace(keystore, &token))
        };
        assert!(with("pin_file = \"pin\"").is_ok());
        assert!(with("pin_env = \"PIN\"").is_ok());
        assert!(with("pin_prompt = true").is_ok());
        assert!(with("").is_err());
        assert!(with("pin_prompt = true\npin_env = \"PIN\"").is_err());
        assert!(with("pin = \"1234\"").is_err(), "a PIN never stands here");
        let halves = "pin_env = \"PIN\"\n[halves]\npath = \"pq.keys\"";
        assert!(with(halves).is_err(), "nothing opens them");
        let halves = format!("{halves}\nkey_file = \"pq.key\"");
        let mut config = with(&halves).unwrap();
        config.resolve(Path::new("/etc/limen"));
        assert_eq!(config.halves.unwrap().path, Path::new("/etc/limen/pq.keys"));
        let retiring = |old: &str| {
            let sealed = "retiring.halves = { path = \"pq.keys\", key_file = \"pq.key\" }";
            Config::parse(&format!("retiring.{old}\n{sealed}\n{GOOD}"))
        };
        assert!(retiring("token = { module = \"m\", label = \"l\", pin_env = \"P\" }").is_ok());
        let refused = retiring("keystore = { path = \"old.keys\", key_file = \"old.key\" }");
        assert!(refused.unwrap_err().to_string().contains("retiring.halves"));
        let mut config = with("pin_file = \"pin\"").unwrap();
        config.resolve(Path::new("/etc/limen"));
        let pin = config.token.and_then(|token| token.pin());
        assert_eq!(pin, Some(PinSource::File("/etc/limen/pin".into())));
        assert_eq!(config.socket, Path::new("/etc/limen/run/keys.sock"));
    }
}
