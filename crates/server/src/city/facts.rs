//! What never changes about a city: name, country, root certificate, origin of its audit log.

use credential::x509::pem;
use policy::actor::CITY;
use reader::bundle::CITY_BYTES_MAX;
use serde::{Deserialize, Serialize};
use store::commit::Setting;
use store::store::Store;
use vocabulary::code::OperatorCode;
use vocabulary::text::Line;

use crate::start::StartError;

/// The setting of the city's own operator that holds the facts.
pub(crate) const SETTING: &str = "city";

/// The facts of a city.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its name for people.
    pub name: Line<CITY_BYTES_MAX>,
    /// Two capital letters (ISO 3166-1).
    pub country: String,
    /// The name of the key of its audit log (C2SP tlog-checkpoint).
    pub log_origin: String,
    /// The certificate of its root, DER.
    pub root: Vec<u8>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    name: String,
    country: String,
    log_origin: String,
    root: String,
}

impl Facts {
    /// The facts of the city in `store`.
    ///
    /// # Errors
    /// [`StartError::NoCity`] when there is none, [`StartError::Read`].
    pub(crate) async fn load(store: &Store) -> Result<Self, StartError> {
        let setting = store.for_operator(&city()).setting(SETTING).await?;
        setting.and_then(|setting| Self::read(&setting.value)).ok_or(StartError::NoCity)
    }

    fn read(value: &[u8]) -> Option<Self> {
        let stored: Stored = serde_json::from_slice(value).ok()?;
        let name = stored.name.parse().ok()?;
        let root = pem::decode(&stored.root, "CERTIFICATE").ok()?.into_iter().next()?;
        Some(Self { name, country: stored.country, log_origin: stored.log_origin, root })
    }

    /// The setting that holds the facts from now on.
    pub(crate) fn setting(&self) -> Setting {
        let stored = Stored {
            name: self.name.as_str().into(),
            country: self.country.clone(),
            log_origin: self.log_origin.clone(),
            root: pem::encode("CERTIFICATE", &self.root),
        };
        // INVARIANT: a struct of texts always serializes.
        let value = serde_json::to_vec(&stored).unwrap_or_default();
        Setting { name: SETTING.into(), value, version: 1 }
    }
}

/// The code of the city's own operator.
pub(crate) fn city() -> OperatorCode {
    // INVARIANT: the constant is a code, which a test of `ceremony` reaches first of all.
    CITY.parse().unwrap_or_else(|_| unreachable!("`city` is an operator code"))
}
