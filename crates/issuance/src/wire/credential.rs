//! Credential request and response (OpenID4VCI 1.0, 8.2 and 8.3), and the nonce response (7.2).

use credential::jose::json;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::collect::{CollectRefusal, CollectRequest};
use crate::issuer::Configuration;
use crate::proof::{PROOFS_MAX, Proofs};

/// Bytes in a credential request: room for as many proofs as are allowed, each with an attestation
/// of all their keys.
pub const REQUEST_BYTES_MAX: usize = 512 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    credential_configuration_id: Option<String>,
    credential_identifier: Option<String>,
    proofs: Option<ProofLists>,
    credential_response_encryption: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProofLists {
    jwt: Option<Vec<String>>,
    attestation: Option<Vec<String>>,
}

/// Reads a credential request, `application/json`.
///
/// # Errors
/// [`CollectRefusal`] with what is amiss.
pub fn read(body: &[u8]) -> Result<CollectRequest, CollectRefusal> {
    if body.len() > REQUEST_BYTES_MAX {
        return Err(CollectRefusal::Form);
    }
    let value = json::parse(body).map_err(|_| CollectRefusal::Form)?;
    let request: Request = serde_json::from_value(value).map_err(|_| CollectRefusal::Form)?;
    if request.credential_response_encryption.is_some() {
        return Err(CollectRefusal::Encryption);
    }
    if request.credential_identifier.is_some() {
        // A name for a credential comes with `authorization_details`, which no token of ours has.
        return Err(CollectRefusal::Identifier);
    }
    let name = request.credential_configuration_id.ok_or(CollectRefusal::Form)?;
    let configuration = Configuration::parse(&name).ok_or(CollectRefusal::Configuration)?;
    let lists = request.proofs.ok_or(CollectRefusal::ProofsMissing)?;
    Ok(CollectRequest { configuration, proofs: proofs(lists)? })
}

/// Exactly one proof type, with at least one proof.
fn proofs(lists: ProofLists) -> Result<Proofs, CollectRefusal> {
    match (lists.jwt, lists.attestation) {
        (Some(texts), None) if (1..=PROOFS_MAX).contains(&texts.len()) => Ok(Proofs::Jwt(texts)),
        (None, Some(texts)) => match <[String; 1]>::try_from(texts) {
            Ok([text]) => Ok(Proofs::Attestation(text)),
            Err(_) => Err(CollectRefusal::ProofsMissing),
        },
        _ => Err(CollectRefusal::ProofsMissing),
    }
}

#[derive(Serialize)]
struct Response<'a> {
    credentials: Vec<Issued<'a>>,
    notification_id: &'a str,
}

#[derive(Serialize)]
struct Issued<'a> {
    credential: &'a str,
}

/// The body of a credential response: the signed documents in order, and their name in
/// notifications.
#[must_use]
pub fn write(credentials: &[String], notification_id: &str) -> String {
    let credentials = credentials.iter().map(|credential| Issued { credential }).collect();
    super::to_json(&Response { credentials, notification_id })
}

#[derive(Serialize)]
struct NonceResponse<'a> {
    c_nonce: &'a str,
}

/// The body of a nonce response.
#[must_use]
pub fn write_nonce(nonce: &str) -> String {
    super::to_json(&NonceResponse { c_nonce: nonce })
}
