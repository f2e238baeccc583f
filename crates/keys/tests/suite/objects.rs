//! Types are found out from bytes and exclude one another.

use credential::cbor::Encoder;
use keys::object::checkpoint::CHECKPOINT_BYTES_MAX;
use keys::object::{OBJECT_BYTES_MAX, ObjectType, TypedObject};
use keys::purpose::Suite;
use proptest::prelude::*;

use crate::samples;

fn types_of(bytes: &[u8]) -> Vec<ObjectType> {
    let is = |kind: &ObjectType| TypedObject::parse(*kind, bytes).is_ok();
    ObjectType::ALL.into_iter().filter(is).collect()
}

#[test]
fn every_sample_is_its_own_type_and_no_other() {
    for (object_type, bytes) in samples::all() {
        assert_eq!(types_of(&bytes), [object_type]);
    }
}

#[test]
fn one_byte_more_is_no_object_of_any_type() {
    for (object_type, mut bytes) in samples::all() {
        bytes.push(0);
        assert_eq!(types_of(&bytes), [], "{object_type} and a zero byte");
    }
}

#[test]
fn every_truncation_is_no_object_of_any_type() {
    for (object_type, bytes) in samples::all() {
        for length in 0..bytes.len() {
            assert_eq!(types_of(&bytes[..length]), [], "{object_type} cut to {length} bytes");
        }
    }
}

#[test]
fn certificates_that_claim_two_roles_are_refused_by_all() {
    use samples::{DOCUMENT_SIGNER, READER, authority, tbs, usage};
    let key = &[4; 65];
    for (what, extensions) in [
        ("authority and document signer", vec![authority(Some(0)), usage(DOCUMENT_SIGNER)]),
        ("authority and reader", vec![authority(Some(0)), usage(READER)]),
        ("certificate signer and reader", vec![usage(READER), samples::CERTIFICATE_SIGN.to_vec()]),
        ("authority of any path length", vec![authority(None), samples::CERTIFICATE_SIGN.to_vec()]),
        (
            "authority of path length 1",
            vec![authority(Some(1)), samples::CERTIFICATE_SIGN.to_vec()],
        ),
    ] {
        assert_eq!(types_of(&tbs("Root", "Other", &extensions, key)), [], "{what}");
    }
}

#[test]
fn certificate_for_the_standard_tap_is_told_apart_by_its_whole_form() {
    use samples::{READER_ID, authority, standard_tap, tbs};
    let key = &[4; 65];
    let with = |more: Vec<u8>| [standard_tap(), vec![more]].concat();
    let certificate =
        |subject: &str, extensions: &[Vec<u8>]| types_of(&tbs("issuer", subject, extensions, key));
    assert_eq!(certificate(READER_ID, &standard_tap()), [ObjectType::ReaderCertificate]);
    // Of the profile, but of nobody's reader: neither a reader nor a signer of the city.
    assert_eq!(certificate("Gate 1", &standard_tap()), []);
    assert_eq!(certificate(&READER_ID.to_uppercase(), &standard_tap()), []);
    assert_eq!(certificate(&READER_ID[1..], &standard_tap()), []);
    // Not of the profile: what it is without it.
    assert_eq!(certificate(READER_ID, &standard_tap()[..2]), [ObjectType::CityCertificate]);
    assert_eq!(
        certificate(READER_ID, &with(samples::usage(samples::READER))),
        [ObjectType::ReaderCertificate]
    );
    assert_eq!(certificate(READER_ID, &with(authority(Some(0)))), []);
}

#[test]
fn access_document_is_a_mobile_security_object_and_a_revocation_document_is_none() {
    use samples::{COMPACT, access_document, sig_structure};
    let types = |typ, labels: &[&str], doc_type| {
        types_of(&sig_structure(typ, &access_document(labels, doc_type)))
    };
    let is_one = [ObjectType::MobileSecurityObject];
    assert_eq!(types(None, &COMPACT, "aliro-a"), is_one);
    assert_eq!(types(None, &COMPACT[..6], "aliro-a"), is_one);
    assert_eq!(types(None, &COMPACT, "aliro-r"), [], "another document");
    assert_eq!(types(None, &["1", "2", "3", "5", "6", "7"], "aliro-a"), [], "no device");
    assert_eq!(types(None, &["1", "2", "3", "4", "5", "6", "8"], "aliro-a"), [], "unknown label");
    assert_eq!(types(None, &["1", "2", "3", "4", "5", "6", "docType"], "aliro-a"), [], "mixed");
    let bundle = types(Some(keys::object::cose::BUNDLE_TYP), &COMPACT, "aliro-a");
    assert_eq!(bundle, [], "its payload is no map");
    let by_es384 =
        samples::sig_structure_by(Suite::Es384, None, &access_document(&COMPACT, "aliro-a"));
    assert_eq!(types_of(&by_es384), [], "the standard tap knows ES256 alone");
}

#[test]
fn signature_structures_with_external_data_or_critical_headers_are_refused() {
    let payload = [0xA0];
    let structure = |context: &str, header: &Encoder, aad: &[u8]| {
        let mut structure = Encoder::new();
        structure.array(4).text(context).bytes(header.as_bytes()).bytes(aad).bytes(&payload);
        structure.into_bytes()
    };
    let header = |alg: i64, critical: bool| {
        let mut header = Encoder::new();
        header.map(2 + usize::from(critical)).integer(1).integer(alg);
        if critical {
            header.integer(2).array(1).integer(16);
        }
        header.integer(16).text(keys::object::cose::BUNDLE_TYP);
        header
    };
    for (what, bytes, expected) in [
        ("control", structure("Signature1", &header(-7, false), b""), vec![ObjectType::Bundle]),
        ("external data", structure("Signature1", &header(-7, false), b"x"), vec![]),
        ("critical header", structure("Signature1", &header(-7, true), b""), vec![]),
        ("other algorithm", structure("Signature1", &header(-8, false), b""), vec![]),
        ("other context", structure("MAC0", &header(-7, false), b""), vec![]),
    ] {
        assert_eq!(types_of(&bytes), expected, "{what}");
    }
}

#[test]
fn jws_of_other_types_and_algorithms_are_refused() {
    use base64ct::{Base64UrlUnpadded, Encoding};
    let encode = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
    for (header, payload, expected) in [
        (r#"{"alg":"ES256","typ":"dc+sd-jwt"}"#, r#"{"vct":"v"}"#, vec![ObjectType::SdJwt]),
        (r#"{"alg":"none","typ":"dc+sd-jwt"}"#, r#"{"vct":"v"}"#, vec![]),
        (r#"{"alg":"ES256","typ":"JWT"}"#, r#"{"vct":"v"}"#, vec![]),
        (r#"{"alg":"ES256"}"#, r#"{"vct":"v"}"#, vec![]),
        (r#"{"alg":"ES256","typ":"dc+sd-jwt","crit":["x"]}"#, r#"{"vct":"v"}"#, vec![]),
        (r#"{"alg":"ES256","typ":"dc+sd-jwt","typ":"JWT"}"#, r#"{"vct":"v"}"#, vec![]),
        (r#"{"alg":"ES256","typ":"dc+sd-jwt"}"#, r#"{"status_list":{}}"#, vec![]),
        (r#"{"alg":"ES256","typ":"dc+sd-jwt"}"#, r#"{"vct":"v","status_list":{}}"#, vec![]),
    ] {
        let bytes = format!("{}.{}", encode(header), encode(payload));
        assert_eq!(types_of(bytes.as_bytes()), expected, "{header} {payload}");
    }
}

#[test]
fn checkpoint_text_follows_its_form_and_limit() {
    let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    let fill = "x".repeat(CHECKPOINT_BYTES_MAX - "o\n0\n".len() - root.len() - 2);
    for (text, accepted) in [
        (format!("o\n0\n{root}\n"), true),
        (format!("o\n0\n{root}\nextension\n"), true),
        (format!("o\n0\n{root}\n{fill}\n"), true),
        (format!("o\n0\n{root}\n{fill}x\n"), false),
        (format!("o\n00\n{root}\n"), false),
        (format!("o\n+1\n{root}\n"), false),
        (format!("\n0\n{root}\n"), false),
        (format!("o\n0\n{root}\n\nsignature\n"), false),
        (format!("o\n0\n{root}"), false),
        ("o\n0\nAAAA\n".to_owned(), false),
    ] {
        let parsed = TypedObject::parse(ObjectType::Checkpoint, text.as_bytes());
        assert_eq!(parsed.is_ok(), accepted, "{} bytes: {text:.40}", text.len());
    }
}

#[test]
fn object_past_the_size_limit_is_refused() {
    for (length, accepted) in [(OBJECT_BYTES_MAX, true), (OBJECT_BYTES_MAX + 1, false)] {
        let overhead = samples::sig_structure(Some(keys::object::cose::BUNDLE_TYP), &[0; 70_000]);
        let overhead = overhead.len() - 70_000;
        let mut payload = Encoder::new();
        let inner = length - overhead - 7; // map header, key, and a byte string header of five
        payload.map(1).integer(0).bytes(&vec![0; inner]);
        let bytes =
            samples::sig_structure(Some(keys::object::cose::BUNDLE_TYP), payload.as_bytes());
        assert_eq!(bytes.len(), length);
        assert_eq!(TypedObject::parse(ObjectType::Bundle, &bytes).is_ok(), accepted);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        prop_assert!(types_of(&bytes).len() <= 1);
    }

    /// Whatever bytes of a valid object change, the outcome is never two types at once.
    #[test]
    fn changed_objects_are_of_one_type_at_most(
        sample in 0..samples::all().len(),
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        let (_, mut bytes) = samples::all().swap_remove(sample);
        let length = bytes.len();
        for (position, value) in changes {
            bytes[position % length] = value;
        }
        prop_assert!(types_of(&bytes).len() <= 1);
    }
}
