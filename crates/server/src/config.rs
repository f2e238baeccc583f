//! The configuration of a server: one TOML file, a section per subsystem, unknown keys refused.
//!
//! Secrets stand in files of their own and are named here, never written here.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keys::config_file::{self, ConfigError};
use serde::{Deserialize, Serialize};

use crate::suites::Suites;

/// Everything that a server must be told.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it listens and under which name it is reached.
    pub http: Http,
    /// Where it keeps what it knows.
    pub store: Store,
    /// Who holds its keys.
    pub keys: Keys,
    /// What it takes at the most.
    #[serde(default)]
    pub limits: Limits,
}

/// Where the server listens.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Address and port. Plain HTTP is served on loopback only.
    pub listen: SocketAddr,
    /// The base of every URL that the server hands out; no slash at the end.
    pub public_url: String,
    /// Certificate chain, PEM; switches TLS 1.3 on, together with `tls_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
}

/// Where the server keeps what it knows.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// A folder; database and audit log lie in it.
    pub data: PathBuf,
}

/// Who holds the keys of the server: the key service, or the server itself from a sealed keystore.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// The socket of the key service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<PathBuf>,
    /// The file of the secret that is shared with the key service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairing: Option<PathBuf>,
    /// The name under which the key service knows this server; [`CLIENT`] where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The user as whom the key service runs; the owner of the socket's folder where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_uid: Option<u32>,
    /// The sealed keystore, which the server opens itself.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub keystore: PathBuf,
    /// The file of 32 bytes that opens it; outside of the data folder and of its backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// A file that holds the passphrase that opens it, instead of a key file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase_file: Option<PathBuf>,
    /// The suites of new keys.
    #[serde(default)]
    pub suites: Suites,
}

/// The name of a server at its key service.
pub const CLIENT: &str = "server";

fn is_empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

/// What the server takes at the most.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes in the body of a request.
    pub body_bytes_max: usize,
    /// How long the header of a request may take, in milliseconds.
    pub header_timeout_ms: u64,
    /// How long a request may take in all, in milliseconds.
    pub request_timeout_ms: u64,
    /// Connections at a time.
    pub connections_max: usize,
    /// Requests per minute of one token, or of one address without token.
    pub requests_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1024 * 1024,
            header_timeout_ms: 5_000,
            request_timeout_ms: 30_000,
            connections_max: 4_096,
            requests_per_minute: 6_000,
        }
    }
}

impl Limits {
    /// How long the header of a request may take.
    #[must_use]
    pub const fn header_timeout(&self) -> Duration {
        Duration::from_millis(self.header_timeout_ms)
    }

    /// How long a request may take in all.
    #[must_use]
    pub const fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
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

    /// Checks what no single setting shows.
    ///
    /// # Errors
    /// [`ConfigError::Setting`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, reason: &str| Err(ConfigError::Setting { key, reason: reason.into() });
        let has_tls = match (&self.http.tls_cert, &self.http.tls_key) {
            (Some(_), Some(_)) => true,
            (None, None) => false,
            (Some(_), None) => return refuse("http.tls_key", "is missing beside `tls_cert`"),
            (None, Some(_)) => return refuse("http.tls_cert", "is missing beside `tls_key`"),
        };
        if !has_tls && !self.http.listen.ip().is_loopback() {
            return refuse(
                "http.listen",
                "plain HTTP is served on loopback only; set `tls_cert` and `tls_key`",
            );
        }
        let url = self.http.public_url.as_str();
        let is_url = url.starts_with("https://") || url.starts_with("http://");
        if !is_url || url.ends_with('/') {
            return refuse(
                "http.public_url",
                "must begin with https:// or http:// and end without `/`",
            );
        }
        self.keys.check()?;
        self.keys.suites.check()?;
        self.limits.check()
    }

    fn resolve(&mut self, folder: &Path) {
        let optional = [
            &mut self.http.tls_cert,
            &mut self.http.tls_key,
            &mut self.keys.service,
            &mut self.keys.pairing,
            &mut self.keys.key_file,
            &mut self.keys.passphrase_file,
        ];
        let keystore = Some(&mut self.keys.keystore).filter(|path| !is_empty(path));
        let paths = std::iter::once(&mut self.store.data).chain(keystore);
        for path in paths.chain(optional.into_iter().flatten()) {
            *path = folder.join(&*path);
        }
    }
}

impl Keys {
    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, reason: &str| Err(ConfigError::Setting { key, reason: reason.into() });
        let secrets = [&self.key_file, &self.passphrase_file];
        let has_keystore = !is_empty(&self.keystore);
        if self.service.is_some() {
            return match &self.pairing {
                _ if has_keystore || secrets.into_iter().any(Option::is_some) => refuse(
                    "keys.service",
                    "stands beside a keystore, which then belongs to the key service alone",
                ),
                None => refuse("keys.pairing", "is missing beside `service`"),
                Some(_) => Ok(()),
            };
        }
        if self.pairing.is_some() || self.client.is_some() || self.service_uid.is_some() {
            return refuse("keys.service", "is missing beside what belongs to it");
        }
        match secrets {
            _ if !has_keystore => {
                refuse("keys.service", "name the socket of a key `service`, or a `keystore`")
            }
            [None, None] => refuse("keys.key_file", "name a `key_file` or a `passphrase_file`"),
            [Some(_), Some(_)] => {
                refuse("keys.key_file", "stands beside a `passphrase_file`; keep one")
            }
            _ => Ok(()),
        }
    }
}

impl Limits {
    fn check(&self) -> Result<(), ConfigError> {
        let zero = [
            ("limits.body_bytes_max", self.body_bytes_max == 0),
            ("limits.header_timeout_ms", self.header_timeout_ms == 0),
            ("limits.request_timeout_ms", self.request_timeout_ms == 0),
            ("limits.connections_max", self.connections_max == 0),
            ("limits.requests_per_minute", self.requests_per_minute == 0),
        ];
        match zero.into_iter().find(|(_, is_zero)| *is_zero) {
            Some((key, _)) => {
                Err(ConfigError::Setting { key, reason: "must be more than 0".into() })
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [http]
        listen = "127.0.0.1:8080"
        public_url = "http://127.0.0.1:8080"
        [store]
        data = "data"
        [keys]
        keystore = "keys/city.keys"
        key_file = "keys/city.key"
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
        check(("data = \"data\"", "data = \"data\"\ncolour = 1"), "colour");
        check(
            ("127.0.0.1:8080\"\n        public", "0.0.0.0:8080\"\n        public"),
            "http.listen",
        );
        check(("http://127.0.0.1:8080\"", "http://127.0.0.1:8080/\""), "http.public_url");
        check(("http://127.0.0.1:8080\"", "ftp://127.0.0.1\""), "http.public_url");
        check(("key_file = \"keys/city.key\"", ""), "keys.key_file");
        check(("keystore = \"keys/city.keys\"", ""), "keys.service");
        check(("[keys]", "[keys]\nservice = \"s\"\npairing = \"p\""), "keys.service");
        check(("[keys]", "[keys]\npairing = \"p\""), "keys.service");
        check(("[store]", "tls_cert = \"c.pem\"\n[store]"), "http.tls_key");
        check(("[keys]", "[limits]\nbody_bytes_max = 0\n[keys]"), "limits.body_bytes_max");
        check(("[store]", "[shop]"), "shop");
        check(("[store]", "[keys.suites]\nbundle = \"ES257\"\n[store]"), "not a suite");
    }

    #[test]
    fn a_key_service_needs_a_pairing_and_no_keystore() {
        let text = GOOD.replace("keystore = \"keys/city.keys\"", "service = \"run/keys.sock\"");
        let text = text.replace("key_file = \"keys/city.key\"", "pairing = \"server/p\"");
        let mut config = Config::parse(&text).unwrap();
        config.resolve(Path::new("/etc/limen"));
        assert_eq!(config.keys.service.as_deref(), Some(Path::new("/etc/limen/run/keys.sock")));
        assert_eq!(config.keys.pairing.as_deref(), Some(Path::new("/etc/limen/server/p")));
        assert_eq!(config.keys.keystore, Path::new(""));
        assert!(Config::parse(&text.replace("pairing = \"server/p\"", "")).is_err());
    }

    #[test]
    fn a_file_without_an_end_is_too_large() {
        let error = Config::load(Path::new("/dev/zero")).unwrap_err();
        assert!(matches!(error, ConfigError::Size { .. }), "{error}");
    }

    #[test]
    fn relative_paths_start_at_the_file() {
        let mut config = Config::parse(GOOD).unwrap();
        config.resolve(Path::new("/etc/limen"));
        assert_eq!(config.keys.key_file.as_deref(), Some(Path::new("/etc/limen/keys/city.key")));
        assert_eq!(config.store.data, Path::new("/etc/limen/data"));
    }
}
