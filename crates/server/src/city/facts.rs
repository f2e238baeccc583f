//! What is known of a city: name, country, origin of its audit log, and its roots, which follow one
//! another by ceremony.

use credential::x509::pem;
use policy::actor::CITY;
use reader::bundle::CITY_BYTES_MAX;
use reader::roots::Root;
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
    /// The certificate of the root under which it certifies now, DER.
    pub root: Vec<u8>,
    /// All roots in force, oldest first, each with the link by which readers come to it.
    pub roots: Vec<Root>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    name: String,
    country: String,
    log_origin: String,
    root: String,
    /// Missing in a city that never changed its root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    roots: Vec<StoredRoot>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StoredRoot {
    certificate: String,
    link: Option<String>,
}

impl StoredRoot {
    fn read(&self) -> Option<Root> {
        let link = self.link.as_deref().map(certificate);
        Some(Root {
            certificate: certificate(&self.certificate)?,
            link: match link {
                Some(None) => return None,
                Some(link) => link,
                None => None,
            },
        })
    }

    fn of(root: &Root) -> Self {
        let text = |der: &[u8]| pem::encode("CERTIFICATE", der);
        Self { certificate: text(&root.certificate), link: root.link.as_deref().map(text) }
    }
}

fn certificate(text: &str) -> Option<Vec<u8>> {
    pem::decode(text, "CERTIFICATE").ok()?.into_iter().next()
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
        let root = certificate(&stored.root)?;
        let mut roots = stored.roots.iter().map(StoredRoot::read).collect::<Option<Vec<_>>>()?;
        if roots.is_empty() {
            roots.push(Root { certificate: root.clone(), link: None });
        }
        Some(Self { name, country: stored.country, log_origin: stored.log_origin, root, roots })
    }

    /// The setting that holds the facts from now on.
    pub(crate) fn setting(&self, version: u32) -> Setting {
        let stored = Stored {
            name: self.name.as_str().into(),
            country: self.country.clone(),
            log_origin: self.log_origin.clone(),
            root: pem::encode("CERTIFICATE", &self.root),
            roots: self.roots.iter().map(StoredRoot::of).collect(),
        };
        // INVARIANT: a struct of texts always serializes.
        let value = serde_json::to_vec(&stored).unwrap_or_default();
        Setting { name: SETTING.into(), value, version }
    }
}

/// The code of the city's own operator.
pub(crate) fn city() -> OperatorCode {
    // INVARIANT: the constant is a code, which a test of `ceremony` reaches first of all.
    CITY.parse().unwrap_or_else(|_| unreachable!("`city` is an operator code"))
}
