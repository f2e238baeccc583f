//! Forgeries of what the issuer signs: certificates, COSE headers and the mobile security object.

use credential::cbor::Encoder;
use credential::rejection::Culprit::{Holder, Issuer, Time, Trust, Wire};
use credential::x509::build::Purpose;
use credential::x509::der::{self, Writer};
use credential::x509::oid;

use crate::city::{Key, certify, request};
use crate::forge::{Cbor, Der, ISSUER_AUTH, recertify, truncate};
use crate::mutations::{
    CBOR, CERTIFICATE, CERTIFIED, EXPIRED, MSO, PROFILE, Reason, SIGNATURE, Table, UNTRUSTED,
};

pub(crate) fn fill(table: &mut Table<'_>) {
    certificates_changed(table);
    certificates_signed_anew(table);
    chains(table);
    headers(table);
    signatures(table);
    mso_unsigned(table);
    mso_fields(table);
    mso_dates(table);
    mso_keys_and_status(table);
}

/// The parts of a TBSCertificate by position.
const TBS_PARTS: [(&str, &[usize]); 11] = [
    ("serial", &[1]),
    ("issuer-common-name", &[3, 2, 0, 1]),
    ("not-before", &[4, 0]),
    ("not-after", &[4, 1]),
    ("subject-common-name", &[5, 2, 0, 1]),
    ("key", &[6, 1]),
    ("subject-key-id", &[7, 0, 0, 1]),
    ("authority-key-id", &[7, 0, 1, 1]),
    ("key-usage", &[7, 0, 2, 2]),
    ("issuer-alt-name", &[7, 0, 4, 1]),
    ("crl", &[7, 0, 5, 1]),
];

/// One bit of each part, while the authority's signature stays what it was.
fn certificates_changed(table: &mut Table<'_>) {
    for (part, path) in TBS_PARTS {
        let mut certificate = Der::parse(&table.city.signer);
        let value = &mut certificate.at(&[0]).at(path).value;
        let position = if part.starts_with("not-") { value.len() - 2 } else { value.len() - 1 };
        // The last bit of a key identifier or a digit keeps the encoding valid.
        value[position] ^= if part == "key-usage" { 0x40 } else { 1 };
        let reason = match part {
            "issuer-common-name" | "authority-key-id" => UNTRUSTED,
            // The lowest used bit says how many are unused.
            _ => CERTIFIED,
        };
        let der = certificate.encode();
        table.signed(&format!("certificate/{part}/changed"), reason, |draft| draft.chain(&[der]));
    }
    for (name, position) in [("r", 8), ("s", 60)] {
        let mut certificate = Der::parse(&table.city.signer);
        certificate.at(&[2]).value[position] ^= 1;
        let der = certificate.encode();
        table.signed(&format!("certificate/signature-{name}/changed"), CERTIFIED, |draft| {
            draft.chain(&[der]);
        });
    }
    let raw = |table: &mut Table<'_>, name: &str, edit: &dyn Fn(&mut Vec<u8>)| {
        let mut der = table.city.signer.clone();
        edit(&mut der);
        let name = format!("certificate/bytes/{name}");
        table.signed(&name, CERTIFICATE, |draft| draft.chain(&[der]));
    };
    raw(table, "empty", &Vec::clear);
    raw(table, "truncated", &|der| truncate(der));
    raw(table, "trailing", &|der| der.push(0));
    raw(table, "zeros", &|der| der.fill(0));
    raw(table, "length-open", &|der| drop(der.splice(1..4, [0x80])));
    raw(table, "length-too-long", &|der| {
        let [high, low] = [der[2], der[3]];
        der.splice(1..4, [0x83, 0, high, low]);
    });
    raw(table, "past-limit", &|der| der.resize(8193, 0));
}

/// Certificates that the authority signed and that still must not sign a document.
fn certificates_signed_anew(table: &mut Table<'_>) {
    let city = table.city;
    let mut anew = |name: &str, reason: Reason, edit: &dyn Fn(&mut Der)| {
        let der = recertify(city, &city.authority_key, edit);
        table.signed(&format!("certificate/resigned/{name}"), reason, |draft| draft.chain(&[der]));
    };
    let extension = |id: &[u8], critical: bool, value: &[u8]| {
        let mut children = vec![Der::leaf(der::OBJECT_IDENTIFIER, id)];
        if critical {
            children.push(Der::leaf(der::BOOLEAN, &[0xFF]));
        }
        children.push(Der::leaf(der::OCTET_STRING, value));
        Der::node(der::SEQUENCE, children)
    };
    let purpose = |id: &[u8]| {
        let mut writer = Writer::new();
        writer.nested(der::SEQUENCE, |list| {
            list.primitive(der::OBJECT_IDENTIFIER, id);
        });
        writer.into_bytes()
    };
    anew("no-key-usage", PROFILE, &|tbs| drop(tbs.at(&[7, 0]).children.remove(2)));
    anew("key-usage-none", PROFILE, &|tbs| tbs.at(&[7, 0, 2, 2]).value = vec![3, 2, 7, 0]);
    anew("key-usage-signs-certificates", PROFILE, &|tbs| {
        tbs.at(&[7, 0, 2, 2]).value = vec![3, 2, 2, 0x84];
    });
    anew("key-usage-agreement", PROFILE, &|tbs| tbs.at(&[7, 0, 2, 2]).value = vec![3, 2, 3, 8]);
    anew("no-extended-key-usage", PROFILE, &|tbs| drop(tbs.at(&[7, 0]).children.remove(3)));
    anew("extended-key-usage-reader", PROFILE, &|tbs| {
        tbs.at(&[7, 0, 3, 2]).value = purpose(oid::MDOC_READER);
    });
    anew("extended-key-usage-any", PROFILE, &|tbs| {
        tbs.at(&[7, 0, 3, 2]).value = purpose(&[0x55, 0x1D, 0x25, 0x00]);
    });
    anew("authority", PROFILE, &|tbs| {
        let constraints = extension(oid::BASIC_CONSTRAINTS, true, &[0x30, 3, 1, 1, 0xFF]);
        tbs.at(&[7, 0]).children.push(constraints);
    });
    anew("country", PROFILE, &|tbs| tbs.at(&[5, 0, 0, 1]).value = b"FR".to_vec());
    anew("no-extensions", PROFILE, &|tbs| drop(tbs.children.remove(7)));
    anew("unknown-critical-extension", CERTIFICATE, &|tbs| {
        tbs.at(&[7, 0]).children.push(extension(&[0x2A, 3, 4], true, &[5, 0]));
    });
    anew("repeated-extension", CERTIFICATE, &|tbs| {
        let repeated = tbs.at(&[7, 0, 0]).clone();
        tbs.at(&[7, 0]).children.push(repeated);
    });
    anew("extensions-too-many", CERTIFICATE, &|tbs| {
        let more = (0..20).map(|number| extension(&[0x2A, 3, number], false, &[5, 0]));
        tbs.at(&[7, 0]).children.extend(more);
    });
    anew("key-usage-malformed", CERTIFICATE, &|tbs| tbs.at(&[7, 0, 2, 2]).value = vec![3, 1, 0]);
    anew("extended-key-usage-malformed", CERTIFICATE, &|tbs| {
        tbs.at(&[7, 0, 3, 2]).value = vec![0x30, 2, 4, 0];
    });
    anew("version-1", CERTIFICATE, &|tbs| drop(tbs.children.remove(0)));
    anew("version-2", CERTIFICATE, &|tbs| tbs.at(&[0, 0]).value = vec![1]);
    anew("serial-zero", CERTIFICATE, &|tbs| tbs.at(&[1]).value = vec![0]);
    anew("serial-negative", CERTIFICATE, &|tbs| tbs.at(&[1]).value = vec![0x80, 1]);
    anew("serial-padded", CERTIFICATE, &|tbs| tbs.at(&[1]).value = vec![0, 1]);
    anew("serial-too-long", CERTIFICATE, &|tbs| tbs.at(&[1]).value = vec![1; 21]);
    anew("two-algorithms", CERTIFICATE, &|tbs| tbs.at(&[2, 0]).value = oid::ECDSA_SHA384.to_vec());
    anew("dates-reversed", CERTIFICATE, &|tbs| tbs.at(&[4]).children.reverse());
    anew("date-malformed", CERTIFICATE, &|tbs| tbs.at(&[4, 0]).value = b"2602010000Z".to_vec());
    anew("date-impossible", CERTIFICATE, &|tbs| {
        tbs.at(&[4, 0]).value = b"260230000000Z".to_vec();
    });
    anew("curve-unknown", CERTIFICATE, &|tbs| {
        tbs.at(&[6, 0, 1]).value = vec![0x2B, 0x81, 4, 0, 10]
    });
    anew("curve-of-another-size", CERTIFICATE, &|tbs| {
        tbs.at(&[6, 0, 1]).value = oid::SECP384R1.to_vec();
    });
    anew("key-compressed", CERTIFICATE, &|tbs| {
        tbs.at(&[6, 1]).value.truncate(34);
        tbs.at(&[6, 1]).value[1] = 2;
    });
    anew("expired", EXPIRED, &|tbs| tbs.at(&[4, 1]).value = b"260601115959Z".to_vec());
    anew("not-yet-valid", (Time, "certificate-not-yet-valid"), &|tbs| {
        tbs.at(&[4, 0]).value = b"260601120001Z".to_vec();
    });
    anew("begins-after-signing", (Issuer, "signed-outside-certificate"), &|tbs| {
        tbs.at(&[4, 0]).value = b"260301080001Z".to_vec();
    });
    anew("other-key", SIGNATURE, &|tbs| {
        tbs.at(&[6, 1]).value = [&[0][..], Key::new(9).public.as_bytes()].concat();
    });
    anew("key-off-its-curve", SIGNATURE, &|tbs| *tbs.at(&[6, 1]).value.last_mut().unwrap() ^= 1);
    anew("authority-key-id", UNTRUSTED, &|tbs| {
        *tbs.at(&[7, 0, 1, 1]).value.last_mut().unwrap() ^= 1;
    });
    anew("issuer", UNTRUSTED, &|tbs| tbs.at(&[3, 2, 0, 1]).value = b"Another IACA".to_vec());
}

fn chains(table: &mut Table<'_>) {
    let city = table.city;
    let by_wrong_key = |key: &Key| recertify(city, key, |_| ());
    for (name, key) in [
        ("itself", &city.signer_key),
        ("root", &city.root_key),
        ("reader-authority", &city.reader_authority_key),
        ("device", &city.device_key),
    ] {
        let der = by_wrong_key(key);
        let name = format!("chain/signed-by-{name}");
        table.signed(&name, CERTIFIED, |draft| draft.chain(&[der]));
    }
    let signer = || city.signer.clone();
    let with_key = |number: u8| Key::new(number);
    table.signed("chain/absent", (Issuer, "chain-missing"), |draft| draft.unprotected.remove("33"));
    table.signed("chain/empty", (Issuer, "chain-missing"), |draft| draft.chain(&[]));
    table.signed("chain/text", CBOR, |draft| *draft.unprotected.at("33") = Cbor::text("x"));
    table.signed("chain/four", (Issuer, "chain-too-long"), |draft| {
        draft.chain(&[signer(), signer(), signer(), signer()]);
    });
    table.signed("chain/five", (Wire, "chain-length"), |draft| {
        draft.chain(&[signer(), signer(), signer(), signer(), signer()]);
    });
    table.signed("chain/reader", UNTRUSTED, |draft| {
        draft.chain(std::slice::from_ref(&city.reader));
        draft.signer_key = with_key(5);
    });
    table.signed("chain/reader-with-its-authority", UNTRUSTED, |draft| {
        draft.chain(&[city.reader.clone(), city.reader_authority.clone()]);
        draft.signer_key = with_key(5);
    });
    table.signed("chain/authority-before-signer", SIGNATURE, |draft| {
        draft.chain(&[city.authority.clone(), signer()]);
    });
    let foreign_root = Key::new(20);
    let (foreign_authority, foreign_signer) = (Key::new(21), Key::new(22));
    let root = certify(&request(Purpose::Root, "City Root", &foreign_root), None, &foreign_root);
    let name = "Harbour Transit IACA";
    let authority_request = request(Purpose::Authority, name, &foreign_authority);
    let authority = certify(&authority_request, Some(&root), &foreign_root);
    let signer_request = request(Purpose::DocumentSigner, "Harbour Transit DS", &foreign_signer);
    let lookalike = certify(&signer_request, Some(&authority), &foreign_authority);
    for (name, chain, reason) in [
        ("lookalike", vec![lookalike.clone()], UNTRUSTED),
        ("lookalike-with-authority", vec![lookalike.clone(), authority.clone()], UNTRUSTED),
        ("lookalike-with-root", vec![lookalike.clone(), authority, root], UNTRUSTED),
        ("lookalike-with-true-authority", vec![lookalike, city.authority.clone()], UNTRUSTED),
    ] {
        table.signed(&format!("chain/{name}"), reason, |draft| {
            draft.chain(&chain);
            draft.signer_key = with_key(22);
        });
    }
    // The document signer certifies another key: it is no authority, though the path is complete.
    let under_signer = recertify(city, &city.signer_key, |tbs| {
        tbs.children[3] = tbs.children[5].clone();
        tbs.at(&[5, 2, 0, 1]).value = b"Second DS".to_vec();
        tbs.at(&[6, 1]).value = [&[0][..], Key::new(23).public.as_bytes()].concat();
        tbs.at(&[7, 0]).children.remove(1);
    });
    table.signed("chain/signer-as-authority", (Trust, "authority-profile"), |draft| {
        draft.chain(&[under_signer, signer()]);
        draft.signer_key = with_key(23);
    });
}

fn headers(table: &mut Table<'_>) {
    let algorithm = |id: i64| {
        let mut encoder = Encoder::new();
        encoder.map(1).integer(1).integer(id);
        encoder.into_bytes()
    };
    for (name, id, code) in [
        ("es384", -35, "algorithm-mismatch"),
        ("eddsa", -8, "algorithm-mismatch"),
        ("es512", -36, "algorithm"),
        ("es256k", -47, "algorithm"),
        ("rs256", -257, "algorithm"),
        ("rs1", -65_535, "algorithm"),
        ("hs256", 5, "algorithm"),
        ("none", 0, "algorithm"),
    ] {
        let name = format!("issuer-auth/algorithm-{name}");
        table.signed(&name, (Issuer, code), |draft| draft.protected = algorithm(id));
    }
    let missing = (Issuer, "algorithm-missing");
    table.signed("issuer-auth/no-protected-header", missing, |draft| draft.protected.clear());
    table.signed("issuer-auth/empty-protected-header", missing, |draft| {
        draft.protected = vec![0xa0]
    });
    table.signed("issuer-auth/algorithm-unprotected-only", missing, |draft| {
        draft.protected.clear();
        draft.unprotected.entries().push((Cbor::Integer(1), Cbor::Integer(-7)));
    });
    table.signed("issuer-auth/algorithm-as-text", missing, |draft| {
        draft.protected = vec![0xa1, 0x01, 0x65, b'E', b'S', b'2', b'5', b'6'];
    });
    table.signed("issuer-auth/algorithm-twice", CBOR, |draft| {
        draft.protected = vec![0xa2, 0x01, 0x26, 0x01, 0x26];
    });
    table.signed("issuer-auth/critical-header", (Wire, "crit"), |draft| {
        draft.protected = vec![0xa2, 0x01, 0x26, 0x02, 0x81, 0x18, 0x64];
    });
    table.signed("issuer-auth/protected-trailing", CBOR, |draft| draft.protected.push(0));
    table.signed("issuer-auth/protected-no-map", CBOR, |draft| draft.protected = vec![0x80]);
}

/// Changes of the signature itself.
fn signatures(table: &mut Table<'_>) {
    let mut signature = |name: &str, edit: &dyn Fn(&mut Vec<u8>)| {
        table.unsigned(&format!("issuer-auth/signature-{name}"), SIGNATURE, |response| {
            edit(response.at(ISSUER_AUTH).at("3").bytes());
        });
    };
    signature("first-bit", &|bytes| bytes[0] ^= 0x80);
    signature("last-bit", &|bytes| bytes[63] ^= 1);
    signature("empty", &Vec::clear);
    signature("truncated", &|bytes| truncate(bytes));
    signature("extended", &|bytes| bytes.push(0));
    signature("zeros", &|bytes| bytes.fill(0));
    signature("ones", &|bytes| bytes.fill(0xff));
    signature("r-zero", &|bytes| bytes[..32].fill(0));
    signature("s-zero", &|bytes| bytes[32..].fill(0));
    signature("halves-swapped", &|bytes| bytes.rotate_left(32));
    signature("in-der", &|bytes| {
        let mut writer = Writer::new();
        writer.nested(der::SEQUENCE, |pair| {
            pair.unsigned(&bytes[..32]).unsigned(&bytes[32..]);
        });
        *bytes = writer.into_bytes();
    });
    for (name, number) in [("authority", 2), ("device", 4), ("stranger", 30)] {
        let name = format!("issuer-auth/signed-by-{name}");
        table.signed(&name, SIGNATURE, |draft| draft.signer_key = Key::new(number));
    }
    table.unsigned("issuer-auth/payload-detached", (Wire, "payload-missing"), |response| {
        *response.at(ISSUER_AUTH).at("2") = Cbor::Raw(vec![0xf6]);
    });
    table.unsigned("issuer-auth/three-entries", CBOR, |response| {
        response.at(ISSUER_AUTH).list().pop();
    });
    table.unsigned("issuer-auth/five-entries", CBOR, |response| {
        response.at(ISSUER_AUTH).list().push(Cbor::Integer(0));
    });
    table.unsigned("issuer-auth/tag-of-mac", CBOR, |response| {
        let message = response.at(ISSUER_AUTH).clone();
        *response.at(ISSUER_AUTH) = Cbor::Tag(17, Box::new(message));
    });
    table.signed("issuer-auth/payload-not-embedded", MSO, |draft| {
        draft.payload = Some(draft.mso.encode());
    });
    table.signed("issuer-auth/payload-other-tag", MSO, |draft| {
        draft.payload = Some(Cbor::Tag(25, Box::new(Cbor::Bytes(draft.mso.encode()))).encode());
    });
    table.signed("issuer-auth/payload-empty", MSO, |draft| draft.payload = Some(Vec::new()));
    table.signed("issuer-auth/payload-trailing", MSO, |draft| {
        draft.payload = Some([Cbor::embedded(draft.mso.encode()).encode(), vec![0]].concat());
    });
    table.signed("issuer-auth/payload-open-map", MSO, |draft| {
        let mut mso = draft.mso.encode();
        mso[0] = 0xbf;
        mso.push(0xff);
        draft.payload = Some(Cbor::embedded(mso).encode());
    });
    table.signed("issuer-auth/payload-truncated", MSO, |draft| {
        let mut mso = draft.mso.encode();
        mso.pop();
        draft.payload = Some(Cbor::embedded(mso).encode());
    });
}

/// A byte of each field of the MSO, while the issuer's signature stays what it was.
fn mso_unsigned(table: &mut Table<'_>) {
    for (name, needle) in [
        ("version", &b"1.0"[..]),
        ("digest-algorithm", b"SHA-256"),
        ("name-space", b"city.limen.pass.1"),
        ("device-key", b"\x21\x58\x20"),
        ("doc-type", b"docType"),
        ("signed", b"2026-03-01T08"),
        ("valid-from", b"2026-03-01T09"),
        ("valid-until", b"2026-12-01"),
        ("status-uri", b"https://city.example/status"),
        ("status-index", b"idx\x18\x2a"),
        ("first-digest", b"\x00\x58\x20"),
        ("last-digest", b"\x05\x58\x20"),
    ] {
        table.unsigned(&format!("mso/{name}/changed"), SIGNATURE, |response| {
            let payload = response.at(ISSUER_AUTH).at("2").bytes();
            let found = payload.windows(needle.len()).position(|window| window == needle);
            let position = found.unwrap_or_else(|| panic!("`{name}` not found")) + needle.len() - 1;
            payload[position + usize::from(needle.ends_with(b"\x58\x20"))] ^= 1;
        });
    }
}

/// Fields that the issuer signed and that still must be refused.
fn mso_fields(table: &mut Table<'_>) {
    for field in
        ["version", "digestAlgorithm", "valueDigests", "deviceKeyInfo", "docType", "validityInfo"]
    {
        table.signed(&format!("mso/{field}/absent"), MSO, |draft| draft.mso.remove(field));
        table.signed(&format!("mso/{field}/of-another-type"), MSO, |draft| {
            *draft.mso.at(field) = Cbor::Integer(1);
        });
        table.signed(&format!("mso/{field}/twice"), MSO, |draft| {
            let value = draft.mso.at(field).clone();
            draft.mso.insert(field, value);
        });
    }
    for version in ["1.1", "2.0", "", "1.0 "] {
        let name = format!("mso/version/{version:?}");
        table.signed(&name, (Issuer, "mso-version"), |draft| {
            *draft.mso.at("version") = Cbor::text(version);
        });
    }
    for algorithm in ["SHA-1", "MD5", "sha-256", "SHA256", "SHA3-256", ""] {
        let name = format!("mso/digestAlgorithm/{algorithm:?}");
        table.signed(&name, (Issuer, "digest-algorithm"), |draft| {
            *draft.mso.at("digestAlgorithm") = Cbor::text(algorithm);
        });
    }
    table.signed("mso/digestAlgorithm/longer-than-digests", (Issuer, "digest-length"), |draft| {
        *draft.mso.at("digestAlgorithm") = Cbor::text("SHA-512");
    });
    let digests = "valueDigests/city.limen.pass.1";
    table.signed("mso/digests/shortened", (Issuer, "digest-length"), |draft| {
        draft.mso.at(digests).at("0").bytes().truncate(16);
    });
    table.signed("mso/digests/lengthened", (Issuer, "digest-length"), |draft| {
        draft.mso.at(digests).at("0").bytes().push(0);
    });
    table.signed("mso/digests/key-as-text", MSO, |draft| {
        draft.mso.at(digests).entries()[0].0 = Cbor::text("0");
    });
    table.signed("mso/digests/repeated-number", MSO, |draft| {
        let first = draft.mso.at(digests).entries()[0].clone();
        draft.mso.at(digests).entries().push(first);
    });
    table.signed("mso/digests/one-removed", (Holder, "digest-missing"), |draft| {
        draft.mso.at(digests).entries().remove(0);
    });
    table.signed("mso/digests/name-space-renamed", (Holder, "digest-missing"), |draft| {
        draft.mso.at("valueDigests").entries()[0].0 = Cbor::text("city.limen.pass.2");
    });
    table.signed("mso/digests/empty", (Holder, "digest-missing"), |draft| {
        draft.mso.at("valueDigests").entries().clear();
    });
    table.signed("mso/digests/too-many", (Issuer, "elements-too-many"), |draft| {
        let digest = Cbor::Bytes(vec![0; 32]);
        let more = (100..1119).map(|number| (Cbor::Integer(number), digest.clone()));
        draft.mso.at(digests).entries().extend(more);
    });
    table.signed("mso/digests/first-swapped-with-second", (Holder, "digest-mismatch"), |draft| {
        let entries = draft.mso.at(digests).entries();
        let (first, second) = (entries[0].1.clone(), entries[1].1.clone());
        (entries[0].1, entries[1].1) = (second, first);
    });
    for doc_type in ["city.limen.pass.2", "org.iso.18013.5.1.mDL", "", "City.limen.pass.1"] {
        let name = format!("mso/docType/{doc_type:?}");
        table.signed(&name, (Holder, "doc-type-mismatch"), |draft| {
            *draft.mso.at("docType") = Cbor::text(doc_type);
        });
    }
    table.signed("mso/docType/other-everywhere", (Holder, "doc-type-unexpected"), |draft| {
        *draft.mso.at("docType") = Cbor::text("city.limen.pass.2");
        draft.doc_type = "city.limen.pass.2".into();
        draft.session.1 = "city.limen.pass.2".into();
    });
}

fn mso_dates(table: &mut Table<'_>) {
    for field in ["signed", "validFrom", "validUntil"] {
        table.signed(&format!("mso/{field}/absent"), MSO, |draft| {
            draft.mso.at("validityInfo").remove(field);
        });
        for (name, value) in [
            ("untagged", Cbor::text("2026-03-01T09:00:00Z")),
            ("full-date", Cbor::Tag(1004, Box::new(Cbor::text("2026-03-01")))),
            ("epoch", Cbor::Tag(1, Box::new(Cbor::Integer(1_772_355_600)))),
            ("impossible", Cbor::date("2026-02-30T09:00:00Z")),
            ("without-zone", Cbor::date("2026-03-01T09:00:00")),
        ] {
            table.signed(&format!("mso/{field}/{name}"), MSO, |draft| {
                *draft.mso.at("validityInfo").at(field) = value;
            });
        }
    }
    for (name, field, date, reason) in [
        ("from-before-signed", "validFrom", "2026-03-01T07:59:59Z", (Issuer, "validity-order")),
        ("until-before-from", "validUntil", "2026-03-01T08:59:59Z", (Issuer, "validity-order")),
        ("expired", "validUntil", "2026-06-01T11:59:59Z", (Time, "document-expired")),
        ("not-yet", "validFrom", "2026-06-01T12:00:01Z", (Time, "document-not-yet-valid")),
        (
            "signed-before-certificate",
            "signed",
            "2026-01-31T23:59:59Z",
            (Issuer, "signed-outside-certificate"),
        ),
    ] {
        table.signed(&format!("mso/dates/{name}"), reason, |draft| {
            *draft.mso.at("validityInfo").at(field) = Cbor::date(date);
        });
    }
    for (name, dates, reason) in [
        (
            "signed-tomorrow",
            ["2026-06-02T00:00:00Z", "2026-06-02T00:00:00Z"],
            (Time, "document-not-yet-signed"),
        ),
        (
            "signed-after-certificate",
            ["2027-03-01T00:00:00Z", "2027-03-01T00:00:00Z"],
            (Issuer, "signed-outside-certificate"),
        ),
    ] {
        table.signed(&format!("mso/dates/{name}"), reason, |draft| {
            let validity = draft.mso.at("validityInfo");
            *validity.at("signed") = Cbor::date(dates[0]);
            *validity.at("validFrom") = Cbor::date(dates[1]);
            *validity.at("validUntil") = Cbor::date("2027-06-01T00:00:00Z");
        });
    }
}

fn mso_keys_and_status(table: &mut Table<'_>) {
    let key = "deviceKeyInfo/deviceKey";
    let wrong_key = (Issuer, "device-key");
    table.signed("mso/device-key/absent", MSO, |draft| {
        draft.mso.at("deviceKeyInfo").remove("deviceKey");
    });
    for (name, label) in [("kty", "1"), ("crv", "-1"), ("x", "-2"), ("y", "-3")] {
        table.signed(&format!("mso/device-key/no-{name}"), wrong_key, |draft| {
            draft.mso.at(key).remove(label);
        });
    }
    for (name, label, value) in [
        ("kty-symmetric", "1", Cbor::Integer(4)),
        ("crv-p521", "-1", Cbor::Integer(3)),
        ("crv-p384", "-1", Cbor::Integer(2)),
        ("crv-text", "-1", Cbor::text("P-256")),
        ("x-short", "-2", Cbor::Bytes(vec![1; 31])),
        ("x-long", "-2", Cbor::Bytes(vec![1; 33])),
        ("y-sign-only", "-3", Cbor::Raw(vec![0xf5])),
    ] {
        table.signed(&format!("mso/device-key/{name}"), wrong_key, |draft| {
            *draft.mso.at(key).at(label) = value;
        });
    }
    table.signed("mso/device-key/off-its-curve", (Holder, "device-signature"), |draft| {
        draft.mso.at(key).at("-3").bytes()[31] ^= 1;
    });
    table.signed("mso/device-key/off-its-curve-with-mac", wrong_key, |draft| {
        draft.mso.at(key).at("-3").bytes()[31] ^= 1;
        draft.mac = true;
    });
    table.signed("mso/device-key/of-another-device", (Holder, "device-signature"), |draft| {
        let point = Key::new(31).point();
        *draft.mso.at(key).at("-2") = Cbor::Bytes(point[1..33].to_vec());
        *draft.mso.at(key).at("-3") = Cbor::Bytes(point[33..].to_vec());
    });
    let status = (Issuer, "status-reference");
    table.signed("mso/status/of-another-type", status, |draft| {
        *draft.mso.at("status") = Cbor::Integer(0);
    });
    table.signed("mso/status/empty", status, |draft| draft.mso.at("status").entries().clear());
    table.signed("mso/status/another-mechanism", status, |draft| {
        draft.mso.at("status").entries()[0].0 = Cbor::text("identifier_list");
    });
    for field in ["idx", "uri"] {
        table.signed(&format!("mso/status/no-{field}"), status, |draft| {
            draft.mso.at("status/status_list").remove(field);
        });
    }
    for (name, field, value) in [
        ("negative-index", "idx", Cbor::Integer(-1)),
        ("index-as-text", "idx", Cbor::text("42")),
        ("uri-as-bytes", "uri", Cbor::Bytes(b"https://city.example/status/1".to_vec())),
    ] {
        table.signed(&format!("mso/status/{name}"), status, |draft| {
            *draft.mso.at("status/status_list").at(field) = value;
        });
    }
}
