//! One valid object of every type (and a second form where there is one), written by hand here so
//! that the check does not share its encoder with what it checks.

use base64ct::{Base64UrlUnpadded, Encoding};
use credential::cbor::Encoder;
use keys::object::ObjectType::{self, *};
use keys::purpose::Suite;

pub(crate) const DOCUMENT_SIGNER: &[u8] = &[0x28, 0x81, 0x8C, 0x5D, 0x05, 0x01, 0x02];
pub(crate) const READER: &[u8] = &[0x28, 0x81, 0x8C, 0x5D, 0x05, 0x01, 0x06];

pub(crate) fn all() -> Vec<(ObjectType, Vec<u8>)> {
    let access_document = access_document(&COMPACT, "aliro-a");
    let of_the_standard_tap = [
        (MobileSecurityObject, sig_structure(None, &access_document)),
        (ReaderCertificate, tbs("issuer", READER_ID, &standard_tap(), &[4; 65])),
    ];
    naming(Suite::Es256).into_iter().chain(of_the_standard_tap).collect()
}

/// The samples, to be signed by a key of `suite`; but the checkpoint, which is always Ed25519.
pub(crate) fn naming(suite: Suite) -> Vec<(ObjectType, Vec<u8>)> {
    let tbs = |issuer: &str, subject: &str, extensions: &[Vec<u8>], point: &[u8; 65]| {
        tbs_by(suite, issuer, subject, extensions, point)
    };
    let jws = |typ: &str, payload: &str| jws_by(suite, typ, payload);
    let sig_structure = |typ: Option<&str>, payload: &[u8]| sig_structure_by(suite, typ, payload);
    vec![
        (CityCertificate, tbs("Root", "Root", &[authority(None)], &[4; 65])),
        (
            CityCertificate,
            tbs("Root", "Issuing", &[authority(Some(0)), CERTIFICATE_SIGN.to_vec()], &[4; 65]),
        ),
        (CityCertificate, tbs("Root", "Bundle", &[], &[4; 65])),
        (DocumentSignerCertificate, tbs("Issuing", "DS", &[usage(DOCUMENT_SIGNER)], &[4; 65])),
        (ReaderCertificate, tbs("Readers", "Gate 1", &[usage(READER)], &[4; 65])),
        (MobileSecurityObject, sig_structure(None, &mso_payload())),
        (SdJwt, jws("dc+sd-jwt", r#"{"iss":"x","vct":"urn:limen:pass:1","_sd":[]}"#)),
        (
            StatusList,
            jws("statuslist+jwt", r#"{"iat":1,"status_list":{"bits":1,"lst":""},"sub":"u"}"#),
        ),
        (
            StatusList,
            sig_structure(Some("application/statuslist+cwt"), &[0xA1, 0x19, 0xFF, 0xFD, 0xA0]),
        ),
        (Bundle, sig_structure(Some(keys::object::cose::BUNDLE_TYP), &[0xA0])),
        (Checkpoint, checkpoint()),
        (Approval, sig_structure(Some(keys::object::cose::APPROVAL_TYP), &[0xA0])),
        (FirmwareManifest, sig_structure(Some(keys::object::cose::FIRMWARE_TYP), &[0xA0])),
    ]
}

pub(crate) fn checkpoint() -> Vec<u8> {
    b"limen.example/log\n42\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n".to_vec()
}

/// A status list in JWT form with a list of so many bytes.
pub(crate) fn status_list(bytes: usize) -> Vec<u8> {
    let list = "A".repeat(bytes);
    let payload = format!(r#"{{"iat":1,"status_list":{{"bits":1,"lst":"{list}"}},"sub":"u"}}"#);
    jws_by(Suite::Es256, "statuslist+jwt", &payload)
}

pub(crate) fn mso() -> Vec<u8> {
    sig_structure(None, &mso_payload())
}

fn mso_payload() -> Vec<u8> {
    let mut mso = Encoder::new();
    mso.map(6);
    for member in
        ["version", "digestAlgorithm", "valueDigests", "deviceKeyInfo", "docType", "validityInfo"]
    {
        mso.text(member).map(0);
    }
    let mut payload = Encoder::new();
    payload.embedded(mso.as_bytes());
    payload.into_bytes()
}

/// The labels of a mobile security object in an access document.
pub(crate) const COMPACT: [&str; 7] = ["1", "2", "3", "4", "5", "6", "7"];

/// The payload of an access document with these labels.
pub(crate) fn access_document(labels: &[&str], doc_type: &str) -> Vec<u8> {
    let mut mso = Encoder::new();
    mso.map(labels.len());
    for label in labels {
        mso.text(label);
        if *label == "5" {
            mso.text(doc_type)
        } else {
            mso.map(0)
        };
    }
    let mut payload = Encoder::new();
    payload.embedded(mso.as_bytes());
    payload.into_bytes()
}

pub(crate) fn sig_structure(typ: Option<&str>, payload: &[u8]) -> Vec<u8> {
    sig_structure_by(Suite::Es256, typ, payload)
}

pub(crate) fn sig_structure_by(suite: Suite, typ: Option<&str>, payload: &[u8]) -> Vec<u8> {
    let algorithm = match suite {
        Suite::Es256 => -7,
        Suite::Es384 => -35,
        Suite::Ed25519 => -8,
        Suite::Es256MlDsa44 => -54,
    };
    let mut protected = Encoder::new();
    protected.map(1 + usize::from(typ.is_some())).integer(1).integer(algorithm);
    if let Some(typ) = typ {
        protected.integer(16).text(typ);
    }
    let mut structure = Encoder::new();
    structure.array(4).text("Signature1").bytes(protected.as_bytes()).bytes(&[]).bytes(payload);
    structure.into_bytes()
}

fn jws_by(suite: Suite, typ: &str, payload: &str) -> Vec<u8> {
    let algorithm = match suite {
        Suite::Es256 => "ES256",
        Suite::Es384 => "ES384",
        Suite::Ed25519 => "EdDSA",
        Suite::Es256MlDsa44 => "ML-DSA-44-ES256",
    };
    let header = format!(r#"{{"alg":"{algorithm}","typ":"{typ}"}}"#);
    let encode = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
    format!("{}.{}", encode(&header), encode(payload)).into_bytes()
}

pub(crate) fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match u16::try_from(contents.len()).unwrap().to_be_bytes() {
        [0, low @ 0..=0x7F] => bytes.push(low),
        [0, low] => bytes.extend([0x81, low]),
        [high, low] => bytes.extend([0x82, high, low]),
    }
    bytes.extend_from_slice(contents);
    bytes
}

const ECDSA_SHA256: &[u8] =
    &[0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02];
const P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48,
    0xCE, 0x3D, 0x03, 0x01, 0x07,
];
/// Key usage: keyCertSign.
pub(crate) const CERTIFICATE_SIGN: &[u8] =
    &[0x30, 0x0B, 0x06, 0x03, 0x55, 0x1D, 0x0F, 0x04, 0x04, 0x03, 0x02, 0x02, 0x04];

const ECDSA_SHA384: &[u8] =
    &[0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x03];
const ED25519: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70];
const COMPOSITE: &[u8] = &[0x30, 0x0A, 0x06, 0x08, 0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x06, 0x28];

/// A TBSCertificate for P-256 with these extensions, to be signed by ES256.
pub(crate) fn tbs(
    issuer: &str,
    subject: &str,
    extensions: &[Vec<u8>],
    point: &[u8; 65],
) -> Vec<u8> {
    tbs_by(Suite::Es256, issuer, subject, extensions, point)
}

fn tbs_by(
    suite: Suite,
    issuer: &str,
    subject: &str,
    extensions: &[Vec<u8>],
    point: &[u8; 65],
) -> Vec<u8> {
    let mut fields = der(0xA0, &der(2, &[2]));
    fields.extend(der(2, &[1]));
    fields.extend_from_slice(match suite {
        Suite::Es256 => ECDSA_SHA256,
        Suite::Es384 => ECDSA_SHA384,
        Suite::Ed25519 => ED25519,
        Suite::Es256MlDsa44 => COMPOSITE,
    });
    fields.extend(name(issuer));
    fields.extend(der(0x30, &[der(0x17, b"250101000000Z"), der(0x17, b"350101000000Z")].concat()));
    fields.extend(name(subject));
    let bits = [&[0][..], point].concat();
    fields.extend(der(0x30, &[P256.to_vec(), der(3, &bits)].concat()));
    if !extensions.is_empty() {
        let mut list = extensions.concat();
        if issuer == subject {
            list.extend_from_slice(CERTIFICATE_SIGN);
        }
        fields.extend(der(0xA3, &der(0x30, &list)));
    }
    der(0x30, &fields)
}

/// A whole certificate around `tbs`, with a signature of no value.
pub(crate) fn certificate(tbs: &[u8]) -> Vec<u8> {
    der(0x30, &[tbs, ECDSA_SHA256, &der(3, &[0, 0x30, 0])[..]].concat())
}

pub(crate) fn authority(path_length: Option<u8>) -> Vec<u8> {
    let mut fields = der(1, &[0xFF]);
    fields.extend(path_length.map(|length| der(2, &[length])).unwrap_or_default());
    extension(&[0x55, 0x1D, 0x13], &der(0x30, &fields))
}

pub(crate) fn usage(purpose: &[u8]) -> Vec<u8> {
    extension(&[0x55, 0x1D, 0x25], &der(0x30, &der(6, purpose)))
}

/// The identifier of a reader as its certificate for the standard tap names it.
pub(crate) const READER_ID: &str = "0199c0ffee0000000000000000000001";

/// The extensions of a certificate of profile 0000: authority key identifier, basic constraints and
/// key usage, the last two critical.
pub(crate) fn standard_tap() -> Vec<Vec<u8>> {
    let critical =
        |id: &[u8], value: &[u8]| der(0x30, &[der(6, id), der(1, &[0xFF]), der(4, value)].concat());
    vec![
        extension(&[0x55, 0x1D, 0x23], &der(0x30, &der(0x80, &[7; 20]))),
        critical(&[0x55, 0x1D, 0x13], &der(0x30, &[])),
        critical(&[0x55, 0x1D, 0x0F], &der(3, &[7, 0x80])),
    ]
}

fn extension(id: &[u8], value: &[u8]) -> Vec<u8> {
    der(0x30, &[der(6, id), der(4, value)].concat())
}

fn name(common_name: &str) -> Vec<u8> {
    let attribute = [der(6, &[0x55, 4, 3]), der(0x0C, common_name.as_bytes())].concat();
    der(0x30, &der(0x31, &der(0x30, &attribute)))
}
