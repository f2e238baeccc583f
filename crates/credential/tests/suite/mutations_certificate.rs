//! Forgeries of the certificates that vouch for the issuer's key.

use credential::rejection::Culprit::{Issuer, Time, Trust, Wire};
use credential::x509::build::Purpose;
use credential::x509::der::{self, Writer};
use credential::x509::oid;

use crate::city::{Key, certify, request};
use crate::forge::{Cbor, Der, recertify, truncate};
use crate::mutations::{
    CBOR, CERTIFICATE, CERTIFIED, EXPIRED, PROFILE, Reason, SIGNATURE, Table, UNTRUSTED,
};

pub(crate) fn fill(table: &mut Table<'_>) {
    certificates_changed(table);
    certificates_signed_anew(table);
    certificates_malformed(table);
    certificates_misstated(table);
    chains(table);
    lookalikes(table);
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
    let mut anew =
        |name: &str, reason: Reason, edit: &dyn Fn(&mut Der)| resigned(table, name, reason, edit);
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
}

/// Certificates that the authority signed, but that break the form of a certificate.
fn certificates_malformed(table: &mut Table<'_>) {
    let mut anew =
        |name: &str, reason: Reason, edit: &dyn Fn(&mut Der)| resigned(table, name, reason, edit);
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
}

/// Certificates that the authority signed with another key, date or issuer in them.
fn certificates_misstated(table: &mut Table<'_>) {
    let mut anew =
        |name: &str, reason: Reason, edit: &dyn Fn(&mut Der)| resigned(table, name, reason, edit);
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
}

/// Certificates of strangers who bear the names of the city.
fn lookalikes(table: &mut Table<'_>) {
    let city = table.city;
    let signer = || city.signer.clone();
    let with_key = |number: u8| Key::new(number);
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

/// A certificate that was changed and signed anew by the authority.
fn resigned(table: &mut Table<'_>, name: &str, reason: Reason, edit: &dyn Fn(&mut Der)) {
    let city = table.city;
    let der = recertify(city, &city.authority_key, edit);
    table.signed(&format!("certificate/resigned/{name}"), reason, |draft| draft.chain(&[der]));
}

fn extension(id: &[u8], critical: bool, value: &[u8]) -> Der {
    let mut children = vec![Der::leaf(der::OBJECT_IDENTIFIER, id)];
    if critical {
        children.push(Der::leaf(der::BOOLEAN, &[0xFF]));
    }
    children.push(Der::leaf(der::OCTET_STRING, value));
    Der::node(der::SEQUENCE, children)
}
