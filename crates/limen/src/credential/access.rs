//! Access documents: IssuerSigned in the compact encoding, which carries no certificate of its signer.

use credential::access_document::{self, Expectation, pass};
use credential::aws_lc::AwsLc;
use credential::cbor::{Decoder, Lengths};
use credential::crypto::PublicKey;
use credential::rejection::Rejection;
use credential::rights::Rights;
use credential::x509::TrustAnchors;
use serde_json::{Map, Value, json};
use vocabulary::time::Instant;

use super::verify::Valid;

/// Its format, as metadata of issuers names it.
pub(super) const FORMAT: &str = "limen-access-document";

/// Whether the bytes are an IssuerSigned in the compact encoding: it has the labels 1 and 2 alone.
pub(super) fn is_access_document(bytes: &[u8]) -> bool {
    let labels = || {
        let mut decoder = Decoder::with_lengths(bytes, Lengths::OpenContainers)?;
        let mut entries = decoder.map()?;
        let mut labels = String::new();
        while decoder.more(&mut entries)? {
            labels.push_str(decoder.text()?);
            decoder.skip()?;
        }
        Ok::<_, Rejection>(labels)
    };
    labels().is_ok_and(|labels| ["12", "21"].contains(&labels.as_str()))
}

/// Verifies an access document of a city pass. The device proves itself at a tap, of which nothing is
/// here: its key is taken as named.
pub(super) fn verify(
    bytes: &[u8],
    anchors: &TrustAnchors,
    at: Instant,
) -> Result<Valid, Rejection> {
    let signers = anchors.document_signer_keys(at).chain(anchors.keys());
    let issuers: Vec<PublicKey> = signers.cloned().collect();
    let device = access_document::named_device(bytes)?;
    let expectation =
        Expectation { crypto: &AwsLc, issuers: &issuers, at, device_key: device.as_ref() };
    let document = access_document::verify_issuer_signed(bytes, &expectation)?;
    let (rights, status) = pass::read(&document)?;
    let claims = json!({ document.kind().doc_type(): { pass::ELEMENT: claims(&rights)? } });
    let status = status.map(|status| json!({ "uri": status.uri, "index": status.index }));
    Ok(Valid { claims, holder: "unchecked", status: status.into_iter().collect() })
}

/// The claims of a city pass, by the names of its other formats.
pub(super) fn claims(rights: &Rights) -> Result<Map<String, Value>, Rejection> {
    rights.to_claims().map_err(Rejection::from)
}
