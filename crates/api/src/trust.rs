//! What others pin to believe this city: public certificates and the key of its log.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The trust anchors of a city. Fetch it over a channel that is trusted, and keep it.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Trust {
    /// The name of the city.
    pub city: String,
    /// The certificate of its root, PEM.
    pub city_root: String,
    /// All its roots in force, oldest first: who believes one comes to the next by its link.
    #[serde(default)]
    pub city_roots: Vec<CityRoot>,
    /// The certificates of its reader authorities, PEM: wallets show passes to their readers alone.
    pub reader_authorities: Vec<String>,
    /// The issuing authorities (IACA, ISO/IEC 18013-5) of its operators.
    pub issuing_authorities: Vec<IssuingAuthority>,
    /// The document signers of its operators whom documents name instead of carrying their certificates:
    /// those of access documents, on P-256, and hybrid ones, which are an experiment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub document_signers: Vec<IssuingAuthority>,
    /// The certificates of the signers of its status lists, PEM.
    pub status_signers: Vec<String>,
    /// The key of its audit log (C2SP signed-note): `name+keyid+base64`.
    pub log_key: String,
    /// All keys of its audit log: those that sign, and one that is about to. Keep them all; while one
    /// follows another, both sign every checkpoint.
    #[serde(default)]
    pub log_keys: Vec<String>,
}

/// A root of the city.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct CityRoot {
    /// The certificate that it signed for itself, PEM.
    pub certificate: String,
    /// The same key and name certified by the root before it (RFC 4210 `newWithOld`), PEM; none for
    /// the first.
    pub link: Option<String>,
}

/// The issuing authority of an operator, or a document signer of one.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct IssuingAuthority {
    /// The operator.
    pub operator: String,
    /// Its certificate, PEM.
    pub certificate: String,
}
