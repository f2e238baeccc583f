//! Which suite the new keys of a city are of, by what they sign: `[keys.suites]` of the configuration.
//!
//! A change concerns keys that are made from then on: those that are there sign on as they are, and
//! what they signed verifies until it ends. Suites and their identifiers: `specs/suites.md`.

use keys::config_file::ConfigError;
use keys::purpose::{Purpose, Suite};
use serde::{Deserialize, Serialize};

/// The suite of new keys, by purpose; ES256 where nothing is said. Keys of the log are always
/// Ed25519.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Suites {
    /// Of the city's root.
    #[serde(skip_serializing_if = "Name::is_usual")]
    pub root: Name,
    /// Of the operators' issuing authorities.
    #[serde(skip_serializing_if = "Name::is_usual")]
    pub issuing_authority: Name,
    /// Of document signers for mdoc.
    #[serde(skip_serializing_if = "Name::is_usual")]
    pub document_signer_mdoc: Name,
    /// Of document signers for SD-JWT VC.
    #[serde(skip_serializing_if = "Name::is_usual")]
    pub document_signer_sd_jwt: Name,
    /// Of the reader authority.
    #[serde(skip_serializing_if = "Name::is_usual")]
    pub reader_authority: Name,
    /// Of signers of status lists.
    #[serde(skip_serializing_if = "Name::is_usual")]
    pub status_list: Name,
    /// Of signers of trust bundles.
    #[serde(skip_serializing_if = "Name::is_usual")]
    pub bundle: Name,
    /// Lets issuing authorities and document signers for mdoc be of the hybrid suite. An experiment:
    /// no standard foresees such documents, and readers of other makers refuse them.
    #[serde(skip_serializing_if = "is_false")]
    pub experimental_hybrid_mso: bool,
}

/// A suite by its name, such as `ES256+ML-DSA-44`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(pub Suite);

impl Name {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Name {
    fn default() -> Self {
        Self(Suite::Es256)
    }
}

impl TryFrom<String> for Name {
    type Error = keys::purpose::ParseSuiteError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.as_str().into()
    }
}

impl Suites {
    /// A city of `suite` as far as that goes: everything by ES256 or ES384, or by the hybrid what
    /// must outlast a quantum computer: the root, status lists and bundles.
    #[must_use]
    pub fn whole(suite: Suite) -> Self {
        let lasting = Name(suite);
        let others = Name(if suite == Suite::Es256MlDsa44 { Suite::Es256 } else { suite });
        Self {
            root: lasting,
            issuing_authority: others,
            document_signer_mdoc: others,
            document_signer_sd_jwt: others,
            reader_authority: others,
            status_list: lasting,
            bundle: lasting,
            experimental_hybrid_mso: false,
        }
    }

    /// The suite of a new key of `purpose`.
    #[must_use]
    pub const fn of(&self, purpose: Purpose) -> Suite {
        match purpose {
            Purpose::CityRoot => self.root.0,
            Purpose::IssuingAuthority => self.issuing_authority.0,
            Purpose::DocumentSignerMdoc => self.document_signer_mdoc.0,
            Purpose::DocumentSignerSdJwt => self.document_signer_sd_jwt.0,
            Purpose::ReaderAuthority => self.reader_authority.0,
            Purpose::StatusList => self.status_list.0,
            Purpose::Bundle => self.bundle.0,
            Purpose::Checkpoint | Purpose::Staff | Purpose::Firmware => purpose.suite(),
        }
    }

    /// Checks what no single setting shows.
    ///
    /// # Errors
    /// [`ConfigError::Setting`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, reason: &str| Err(ConfigError::Setting { key, reason: reason.into() });
        if Purpose::ALL.into_iter().any(|purpose| !purpose.allows(self.of(purpose))) {
            return refuse("keys.suites", "Ed25519 is for the log alone");
        }
        let is_hybrid = |name: Name| name.0 == Suite::Es256MlDsa44;
        if is_hybrid(self.reader_authority) || is_hybrid(self.document_signer_sd_jwt) {
            return refuse(
                "keys.suites",
                "the hybrid suite is for the root, status lists, bundles and, as an experiment, mdoc",
            );
        }
        let is_experiment =
            is_hybrid(self.issuing_authority) || is_hybrid(self.document_signer_mdoc);
        if is_experiment && !self.experimental_hybrid_mso {
            return refuse(
                "keys.suites.experimental_hybrid_mso",
                "must be true for hybrid issuing authorities or document signers",
            );
        }
        // Readers with a hybrid root take neither from a weaker key.
        let is_downgrade =
            is_hybrid(self.root) && !(is_hybrid(self.status_list) && is_hybrid(self.bundle));
        if is_downgrade {
            return refuse(
                "keys.suites",
                "a hybrid root needs hybrid signers of status lists and of bundles",
            );
        }
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(), &str>) {
        let checked = toml::from_str::<Suites>(text)
            .map_err(|error| error.to_string())
            .and_then(|suites| suites.check().map_err(|error| error.to_string()));
        match expected {
            Ok(()) => assert_eq!(checked, Ok(()), "{text}"),
            Err(culprit) => assert!(checked.unwrap_err().contains(culprit), "{text}"),
        }
    }

    #[test]
    fn suites_are_held_to_what_they_are_for() {
        const HYBRID: &str = "\"ES256+ML-DSA-44\"";
        check("", Ok(()));
        check("bundle = \"ES384\"\nstatus_list = \"ES384\"", Ok(()));
        check(&format!("bundle = {HYBRID}"), Ok(()));
        check(&format!("root = {HYBRID}\nbundle = {HYBRID}"), Err("a hybrid root needs"));
        check(&format!("root = {HYBRID}\nbundle = {HYBRID}\nstatus_list = {HYBRID}"), Ok(()));
        check(&format!("document_signer_mdoc = {HYBRID}"), Err("experimental_hybrid_mso"));
        let flag = "experimental_hybrid_mso = true";
        check(&format!("document_signer_mdoc = {HYBRID}\n{flag}"), Ok(()));
        check(&format!("document_signer_sd_jwt = {HYBRID}\n{flag}"), Err("for the root"));
        check(&format!("reader_authority = {HYBRID}"), Err("for the root"));
        check("bundle = \"Ed25519\"", Err("for the log alone"));
        check("bundle = \"RS256\"", Err("not a suite"));
        check("checkpoint = \"ES256\"", Err("checkpoint"));
    }

    #[test]
    fn whole_cities_pass_their_own_check_and_return_from_toml() {
        for suite in [Suite::Es256, Suite::Es384, Suite::Es256MlDsa44] {
            let suites = Suites::whole(suite);
            assert!(suites.check().is_ok(), "{suite}");
            let text = toml::to_string(&suites).unwrap();
            assert_eq!(toml::from_str::<Suites>(&text).unwrap(), suites);
        }
        assert_eq!(toml::to_string(&Suites::default()).unwrap(), "");
    }
}
