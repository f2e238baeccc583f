//! Forgeries of what the issuer signs: COSE headers and the mobile security object.

use credential::cbor::Encoder;
use credential::rejection::Culprit::{Holder, Issuer, Time, Wire};
use credential::x509::der::{self, Writer};

use crate::city::Key;
use crate::forge::{Cbor, ISSUER_AUTH, truncate};
use crate::mutations::{CBOR, MSO, SIGNATURE, Table};

pub(crate) fn fill(table: &mut Table<'_>) {
    headers(table);
    signatures(table);
    mso_unsigned(table);
    mso_fields(table);
    mso_digests(table);
    mso_doc_types(table);
    mso_dates(table);
    mso_keys_and_status(table);
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
}

/// Digests that the issuer signed and that still must be refused.
fn mso_digests(table: &mut Table<'_>) {
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
}

fn mso_doc_types(table: &mut Table<'_>) {
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
