//! Credential issuer metadata (OpenID4VCI 1.0, 12.2.4) and authorization server metadata
//! (RFC 8414, 2; OpenID4VCI 1.0, 12.3).

use std::collections::BTreeMap;

use credential::crypto::Algorithm;
use serde::Serialize;

use super::offer::PRE_AUTHORIZED_CODE;
use crate::dpop::DPOP_ALGORITHMS;
use crate::issuer::{Configuration, Endpoint, Issuer};
use crate::paper::formats_of;
use crate::product::{AttestationLevel, Display, Format, Product, Terms};
use crate::proof::{PROOF_ALGORITHMS, PROOFS_MAX};

#[derive(Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub(super) struct IssuerMetadata {
    credential_issuer: String,
    credential_endpoint: String,
    #[cfg_attr(test, serde(default))]
    nonce_endpoint: String,
    #[cfg_attr(test, serde(default))]
    notification_endpoint: String,
    batch_credential_issuance: Option<Batch>,
    #[cfg_attr(test, serde(default))]
    display: Vec<IssuerDisplay>,
    credential_configurations_supported: BTreeMap<String, Supported>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
struct Batch {
    batch_size: usize,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
struct IssuerDisplay {
    name: String,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub(super) struct Supported {
    format: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    doctype: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vct: Option<String>,
    cryptographic_binding_methods_supported: Vec<String>,
    credential_signing_alg_values_supported: Vec<AlgorithmName>,
    #[cfg_attr(test, serde(default))]
    proof_types_supported: BTreeMap<String, ProofType>,
    credential_metadata: CredentialMetadata,
}

/// COSE algorithms are numbers, JOSE algorithms are names.
#[derive(Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
#[serde(untagged)]
enum AlgorithmName {
    Cose(i64),
    Jose(String),
}

#[derive(Clone, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
struct ProofType {
    proof_signing_alg_values_supported: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_attestations_required: Option<AttestationsRequired>,
}

#[derive(Clone, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
struct AttestationsRequired {
    key_storage: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_authentication: Option<Vec<String>>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
struct CredentialMetadata {
    display: Vec<CredentialDisplay>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
struct CredentialDisplay {
    name: String,
    locale: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

#[derive(Serialize)]
struct ServerMetadata {
    issuer: String,
    token_endpoint: String,
    grant_types_supported: [&'static str; 1],
    token_endpoint_auth_methods_supported: [&'static str; 1],
    dpop_signing_alg_values_supported: Vec<&'static str>,
    #[serde(rename = "pre-authorized_grant_anonymous_access_supported")]
    anonymous_access_supported: bool,
}

/// The credential issuer metadata of `issuer` with the newest version of each of its `products`;
/// `signer` is the algorithm of its signer of mdocs.
#[must_use]
pub fn issuer_metadata(issuer: &Issuer, products: &[Product], signer: Option<Algorithm>) -> String {
    let own = products.iter().filter(|product| product.operator == *issuer.operator());
    let supported = own.flat_map(|product| {
        formats_of(issuer, product, signer).into_iter().map(|format| {
            let configuration = Configuration { product: product.code.clone(), format };
            (configuration.to_string(), supported(product, format))
        })
    });
    super::to_json(&IssuerMetadata {
        credential_issuer: issuer.identifier().into(),
        credential_endpoint: issuer.url(Endpoint::Credential),
        nonce_endpoint: issuer.url(Endpoint::Nonce),
        notification_endpoint: issuer.url(Endpoint::Notification),
        batch_credential_issuance: Some(Batch { batch_size: PROOFS_MAX }),
        display: vec![IssuerDisplay { name: issuer.name().into() }],
        credential_configurations_supported: supported.collect(),
    })
}

/// The authorization server metadata of `issuer`, which is its own authorization server.
#[must_use]
pub fn server_metadata(issuer: &Issuer) -> String {
    super::to_json(&ServerMetadata {
        issuer: issuer.identifier().into(),
        token_endpoint: issuer.url(Endpoint::Token),
        grant_types_supported: [PRE_AUTHORIZED_CODE],
        token_endpoint_auth_methods_supported: ["none"],
        dpop_signing_alg_values_supported: DPOP_ALGORITHMS.map(|a| a.jose_name()).into(),
        anonymous_access_supported: true,
    })
}

fn supported(product: &Product, format: Format) -> Supported {
    let terms = &product.terms;
    let (doctype, vct, binding, algorithm) = match format {
        Format::Mdoc => (Some(terms.doc_type.clone()), None, "cose_key", AlgorithmName::Cose(-7)),
        Format::SdJwt => {
            (None, Some(terms.vct.clone()), "jwk", AlgorithmName::Jose("ES256".into()))
        }
        Format::AccessDocument => (None, None, "cose_key", AlgorithmName::Cose(-7)),
    };
    Supported {
        format: format.as_str().into(),
        doctype,
        vct,
        cryptographic_binding_methods_supported: vec![binding.into()],
        credential_signing_alg_values_supported: vec![algorithm],
        proof_types_supported: proof_types(terms),
        credential_metadata: CredentialMetadata {
            display: terms.display.iter().map(display).collect(),
        },
    }
}

/// Both proof types; what must be attested is the list of all levels that are high enough.
fn proof_types(terms: &Terms) -> BTreeMap<String, ProofType> {
    let from = |level_min: AttestationLevel| {
        let enough = AttestationLevel::ALL.iter().filter(move |&&level| level >= level_min);
        let names = || enough.map(|level| level.as_str().into()).collect();
        (level_min > AttestationLevel::None).then(names)
    };
    let required = from(terms.attestation_min).map(|key_storage| AttestationsRequired {
        key_storage,
        user_authentication: from(terms.user_authentication_min()),
    });
    let proof_type = ProofType {
        proof_signing_alg_values_supported: PROOF_ALGORITHMS.map(|a| a.jose_name().into()).into(),
        key_attestations_required: required,
    };
    ["jwt", "attestation"].map(|name| (name.to_owned(), proof_type.clone())).into()
}

fn display(display: &Display) -> CredentialDisplay {
    let description = Some(display.description.clone()).filter(|text| !text.is_empty());
    CredentialDisplay { name: display.name.clone(), locale: display.language.clone(), description }
}
