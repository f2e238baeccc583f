//! The certificate of a reader for the standard tap, as its city sends it.

use credential::aws_lc::AwsLc;
use credential::crypto::PublicKey;
use credential::jose::base64url;
use credential::x509::{Certificate, compressed};
use edge::reader_host::StandardCertificate;

use super::sync::certificate;
use crate::failure::{Failure, OrFail};

/// What a city answers beside the certificate of a reader; nothing where its authority has no key on P-256.
pub(super) struct Standard<'a> {
    pub(super) authority: Option<&'a str>,
    pub(super) certificate: Option<&'a str>,
}

impl Standard<'_> {
    /// The certificate, if it is for the key of `own`, the other certificate of the same answer. A reader
    /// that is given a bad one is told so and does without: its other taps do not depend on it.
    pub(super) fn read(&self, own: &[u8]) -> Option<StandardCertificate> {
        let (authority, compressed) = (self.authority?, self.certificate?);
        let checked = checked(authority, compressed, own);
        checked
            .inspect_err(|failure| {
                eprintln!("limen: this reader has no standard tap until it renews: {failure}");
            })
            .ok()
    }
}

fn checked(authority: &str, compressed: &str, own: &[u8]) -> Result<StandardCertificate, Failure> {
    let attempt = "the certificate for the standard tap cannot be used";
    let authority = certificate(authority)?;
    let authority = Certificate::parse(&authority).or_fail(attempt)?.public_key;
    let own = Certificate::parse(own).or_fail(attempt)?;
    let compressed = base64url::decode(compressed).ok_or_else(|| Failure::broken(attempt))?;
    // Both have the same dates: what this machine's clock says does not matter here.
    let key = compressed::verify(&AwsLc, &compressed, &authority, own.not_before);
    match authority {
        PublicKey::P256(group_key) if key.or_fail(attempt)?.key == own.public_key => {
            Ok(StandardCertificate { group_key, certificate: compressed })
        }
        _ => Err(Failure::broken("the certificate for the standard tap is for another key")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use credential::crypto::{Crypto, P256Secret};
    use credential::x509::build::{self, Purpose, Request, Signer, Subject};
    use credential::x509::pem;
    use std::time::Duration;
    use vocabulary::time::Instant;

    const START: Instant = Instant::from_unix_seconds(1_800_000_000);

    fn key(seed: u8) -> (P256Secret, [u8; 65]) {
        let secret = P256Secret::from_bytes([seed; 32]);
        let public = AwsLc.p256_public(&secret).unwrap();
        (secret, public)
    }

    fn certified(seed: u8) -> Vec<u8> {
        let (secret, public) = key(seed);
        let request = Request {
            purpose: Purpose::Root,
            subject: Subject { common_name: "Test", organization: None, country: "UT" },
            key: &PublicKey::P256(public),
            not_before: START,
            not_after: START.saturating_add(Duration::from_secs(3_600)),
            serial_entropy: [7; 16],
            issuer_uri: "https://city.example",
            crl_uri: "https://city.example/crl",
        };
        let unsigned = build::certificate(&request, Signer::Subject).unwrap();
        let signature = AwsLc.p256_sign(&secret, unsigned.to_be_signed()).unwrap();
        unsigned.complete(&signature).into_bytes()
    }

    fn compressed_by(authority: u8, reader: u8) -> String {
        let (secret, public) = key(authority);
        let request = compressed::Request {
            serial: &[1],
            issuer: "issuer",
            subject: "0199c0ffee0000000000000000000001",
            not_before: START,
            not_after: START.saturating_add(Duration::from_secs(3_600)),
            key: &key(reader).1,
        };
        let unsigned = compressed::issue(&request, &PublicKey::P256(public)).unwrap();
        let signature = AwsLc.p256_sign(&secret, unsigned.to_be_signed()).unwrap();
        base64url::encode(&unsigned.complete(&signature))
    }

    #[test]
    fn certificate_is_kept_if_the_authority_made_it_for_the_same_key() {
        let authority = pem::encode("CERTIFICATE", &certified(1));
        let check = |authority: Option<&str>, certificate: Option<&str>, is_kept: bool| {
            let kept = Standard { authority, certificate }.read(&certified(2));
            assert_eq!(kept.as_ref().map(|it| it.group_key), is_kept.then_some(key(1).1));
        };
        check(Some(&authority), Some(&compressed_by(1, 2)), true);
        check(Some(&authority), Some(&compressed_by(1, 3)), false);
        check(Some(&authority), Some(&compressed_by(3, 2)), false);
        check(Some(&authority), Some("?"), false);
        check(Some("?"), Some(&compressed_by(1, 2)), false);
        check(Some(&authority), None, false);
        check(None, None, false);
    }
}
