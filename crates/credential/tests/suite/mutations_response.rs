//! Forgeries of what the holder sends: items, documents, the device's proof and the bytes as such.

use credential::mdoc::{DOCUMENTS_MAX, ELEMENTS_MAX};
use credential::rejection::Culprit::{Holder, Issuer, Wire};

use crate::city::{Key, NAME_SPACE};
use crate::forge::{Cbor, DEVICE_AUTH, Draft, ISSUER_AUTH, items, truncate};
use crate::mutations::{CBOR, DEVICE, DIGEST, FIELD, Reason, Table};

pub(crate) fn fill(table: &mut Table<'_>) {
    items_changed(table);
    items_rearranged(table);
    items_signed_anew(table);
    documents(table);
    one_document(table);
    device_proof(table);
    device_mac(table);
    device_elements(table);
    whole_bytes(table);
}

/// Each field of each item, after signing.
fn items_changed(table: &mut Table<'_>) {
    for position in 0..6 {
        for (field, value) in [
            ("random", Cbor::Bytes(vec![9; 16])),
            ("elementIdentifier", Cbor::text("place")),
            ("elementValue", Cbor::text("first class")),
        ] {
            table.unsigned(&format!("item/{position}/{field}/changed"), DIGEST, |response| {
                let bytes = items(response)[position].bytes();
                let mut item = Cbor::parse(bytes);
                *item.at(field) = value;
                *bytes = item.encode();
            });
        }
    }
    let mut first = |name: &str, reason: Reason, edit: &dyn Fn(&mut Cbor)| {
        table.unsigned(&format!("item/{name}"), reason, |response| {
            let bytes = items(response)[0].bytes();
            let mut item = Cbor::parse(bytes);
            edit(&mut item);
            *bytes = item.encode();
        });
    };
    for field in ["digestID", "random", "elementIdentifier", "elementValue"] {
        first(&format!("{field}/absent"), FIELD, &|item| item.remove(field));
        first(&format!("{field}/twice"), CBOR, &|item| {
            let value = item.at(field).clone();
            item.insert(field, value);
        });
    }
    let next = |item: &mut Cbor| match item.at("digestID") {
        Cbor::Integer(id) => (*id + 1) % 6,
        other => panic!("{other:?}"),
    };
    first("digestID/another", DIGEST, &|item| {
        *item.at("digestID") = Cbor::Integer(next(item));
    });
    first("digestID/never-issued", (Holder, "digest-missing"), &|item| {
        *item.at("digestID") = Cbor::Integer(6);
    });
    first("digestID/negative", CBOR, &|item| *item.at("digestID") = Cbor::Integer(-1));
    first("digestID/as-text", CBOR, &|item| *item.at("digestID") = Cbor::text("0"));
    first("random/as-text", CBOR, &|item| *item.at("random") = Cbor::text("salt"));
    first("random/empty", DIGEST, &|item| item.at("random").bytes().clear());
    first("elementIdentifier/as-bytes", CBOR, &|item| {
        *item.at("elementIdentifier") = Cbor::Bytes(vec![1]);
    });
    first("elementValue/of-another-type", DIGEST, &|item| {
        *item.at("elementValue") = Cbor::Raw(vec![0xf5]);
    });
    first("elementValue/longer-header", DIGEST, &|item| {
        let Cbor::Text(value) = item.at("elementValue").clone() else { panic!("no text") };
        let raw = [&[0x79, 0, u8::try_from(value.len()).unwrap()], value.as_bytes()].concat();
        *item.at("elementValue") = Cbor::Raw(raw);
    });
    first("fields-reordered", DIGEST, &|item| item.entries().reverse());
    first("unknown-field-added", DIGEST, &|item| item.insert("extra", Cbor::Integer(1)));
}

fn items_rearranged(table: &mut Table<'_>) {
    for field in ["elementValue", "random", "digestID", "elementIdentifier"] {
        table.unsigned(&format!("items/{field}-swapped"), DIGEST, |response| {
            let list = items(response);
            let mut pair = [0, 1].map(|position| Cbor::parse(list[position].bytes()));
            let values = [0, 1].map(|position: usize| pair[position].at(field).clone());
            let [first, second] = values;
            (*pair[0].at(field), *pair[1].at(field)) = (second, first);
            for (position, item) in pair.into_iter().enumerate() {
                *list[position].bytes() = item.encode();
            }
        });
    }
    table.unsigned("items/one-doubled", (Holder, "digest-repeated"), |response| {
        let first = items(response)[0].clone();
        items(response).push(first);
    });
    table.unsigned("items/name-space-renamed", (Holder, "digest-missing"), |response| {
        let spaces = response.at("documents/0/issuerSigned/nameSpaces").entries();
        spaces[0].0 = Cbor::text("city.limen.pass.9");
    });
    table.unsigned("items/moved-to-another-name-space", (Holder, "digest-missing"), |response| {
        let moved = items(response).pop().unwrap();
        let spaces = response.at("documents/0/issuerSigned/nameSpaces");
        spaces.insert("other", Cbor::Array(vec![moved]));
    });
    table.unsigned("items/name-space-twice", CBOR, |response| {
        let spaces = response.at("documents/0/issuerSigned/nameSpaces");
        spaces.insert(NAME_SPACE, Cbor::Array(vec![]));
    });
    table.unsigned("items/name-spaces-of-another-type", CBOR, |response| {
        *response.at("documents/0/issuerSigned/nameSpaces") = Cbor::Array(vec![]);
    });
    table.unsigned("items/list-of-another-type", CBOR, |response| {
        *response.at("documents/0/issuerSigned/nameSpaces").at(NAME_SPACE) = Cbor::Integer(1);
    });
    table.unsigned("items/foreign-item-added", (Holder, "digest-missing"), |response| {
        let mut item = Cbor::parse(items(response)[0].bytes());
        *item.at("digestID") = Cbor::Integer(77);
        *item.at("elementIdentifier") = Cbor::text("uses_max");
        items(response).push(Cbor::embedded(item.encode()));
    });
    let mut wrapped = |name: &str, reason: Reason, edit: &dyn Fn(&mut Cbor)| {
        table.unsigned(&format!("items/{name}"), reason, |response| {
            edit(&mut items(response)[0]);
        });
    };
    wrapped("not-embedded", CBOR, &|item| *item = Cbor::Bytes(item.bytes().clone()));
    wrapped("other-tag", CBOR, &|item| *item = Cbor::Tag(25, Box::new(Cbor::Bytes(vec![]))));
    wrapped("bare-map", CBOR, &|item| *item = Cbor::parse(item.bytes()));
    wrapped("truncated", CBOR, &|item| truncate(item.bytes()));
    wrapped("trailing", CBOR, &|item| item.bytes().push(0));
    wrapped("empty", CBOR, &|item| item.bytes().clear());
    wrapped("longer-header", DIGEST, &|item| {
        let inner = item.bytes().clone();
        let length = u8::try_from(inner.len()).unwrap();
        *item = Cbor::Raw([&[0xd8, 0x18, 0x59, 0, length][..], &inner].concat());
    });
}

/// Items whose digests the issuer signed and that still must be refused.
fn items_signed_anew(table: &mut Table<'_>) {
    table.signed("item/resigned/short-salt", (Issuer, "salt-length"), |draft| {
        *draft.items[0].1.at("random") = Cbor::Bytes(vec![1; 15]);
        draft.digest_anew(0);
    });
    table.signed("item/resigned/element-twice", (Holder, "element-repeated"), |draft| {
        let name = draft.items[0].1.at("elementIdentifier").clone();
        *draft.items[1].1.at("elementIdentifier") = name;
        draft.digest_anew(1);
    });
    table.signed("item/resigned/too-many", (Wire, "elements-too-many"), |draft| {
        let one = draft.items[0].clone();
        draft.items = vec![one; ELEMENTS_MAX + 1];
    });
    table.signed("item/resigned/digest-of-the-content-alone", DIGEST, |draft| {
        use credential::crypto::Crypto;
        let item = draft.items[0].1.encode();
        let Cbor::Integer(id) = draft.items[0].1.at("digestID") else { panic!("no number") };
        let digests = draft.mso.at("valueDigests").at(NAME_SPACE);
        let digest = credential::rustcrypto::RustCrypto.sha256(&item);
        *digests.at(&id.to_string()) = Cbor::Bytes(digest.to_vec());
    });
}

fn documents(table: &mut Table<'_>) {
    for field in ["version", "status"] {
        table.unsigned(&format!("response/{field}/absent"), FIELD, |response| {
            response.remove(field)
        });
    }
    table.unsigned("response/documents/absent", (Holder, "no-document"), |response| {
        response.remove("documents");
    });
    table.unsigned("response/documents/empty", (Holder, "no-document"), |response| {
        response.at("documents").list().clear();
    });
    table.unsigned("response/documents/of-another-type", CBOR, |response| {
        *response.at("documents") = Cbor::Map(vec![]);
    });
    table.unsigned("response/documents/too-many", (Wire, "documents-too-many"), |response| {
        let document = response.at("documents/0").clone();
        *response.at("documents") = Cbor::Array(vec![document; DOCUMENTS_MAX + 1]);
    });
    table.unsigned("response/documents/second-forged", DIGEST, |response| {
        let mut second = response.at("documents/0").clone();
        let item = second.at("issuerSigned/nameSpaces").at(NAME_SPACE).at("0").bytes();
        *item.last_mut().unwrap() ^= 1;
        response.at("documents").list().push(second);
    });
    table.unsigned("response/documents/second-without-proof", MISSING_PROOF, |response| {
        let mut second = response.at("documents/0").clone();
        second.remove("deviceSigned");
        response.at("documents").list().push(second);
    });
    for version in ["2.0", "0.9", ""] {
        let name = format!("response/version/{version:?}");
        table.unsigned(&name, (Wire, "response-version"), |response| {
            *response.at("version") = Cbor::text(version);
        });
    }
    table.unsigned("response/version/as-number", CBOR, |response| {
        *response.at("version") = Cbor::Integer(1);
    });
    for status in [10, 11, 12] {
        let name = format!("response/status/{status}");
        table.unsigned(&name, (Holder, "response-status"), |response| {
            *response.at("status") = Cbor::Integer(status);
        });
    }
    table.unsigned("response/status/as-text", CBOR, |response| {
        *response.at("status") = Cbor::text("0");
    });
}

/// One document of a response.
fn one_document(table: &mut Table<'_>) {
    for field in ["docType", "issuerSigned"] {
        let name = format!("document/{field}/absent");
        table.unsigned(&name, FIELD, |response| response.at("documents/0").remove(field));
    }
    for doc_type in ["org.iso.18013.5.1.mDL", ""] {
        let name = format!("document/docType/{doc_type:?}");
        table.unsigned(&name, (Holder, "doc-type-mismatch"), |response| {
            *response.at("documents/0/docType") = Cbor::text(doc_type);
        });
    }
    table.unsigned("document/docType/twice", CBOR, |response| {
        response.at("documents/0").insert("docType", Cbor::text("x"));
    });
    table.unsigned("document/issuerAuth/absent", FIELD, |response| {
        response.at("documents/0/issuerSigned").remove("issuerAuth");
    });
    table.unsigned("document/issuerAuth/as-text", CBOR, |response| {
        *response.at(ISSUER_AUTH) = Cbor::text("signed");
    });
    table.unsigned("document/errors/of-another-type", CBOR, |response| {
        response.at("documents/0").insert("errors", Cbor::Integer(1));
    });
}

const MISSING_PROOF: Reason = (Holder, "device-proof-missing");

fn device_proof(table: &mut Table<'_>) {
    let proof = format!("{DEVICE_AUTH}/deviceSignature");
    let mut changed = |name: &str, reason: Reason, edit: &dyn Fn(&mut Cbor)| {
        table.unsigned(&format!("device/{name}"), reason, |response| edit(response.at(&proof)));
    };
    changed("signature-changed", DEVICE, &|proof| proof.at("3").bytes()[40] ^= 1);
    changed("signature-empty", DEVICE, &|proof| proof.at("3").bytes().clear());
    changed("signature-truncated", DEVICE, &|proof| truncate(proof.at("3").bytes()));
    changed("signature-zeros", DEVICE, &|proof| proof.at("3").bytes().fill(0));
    changed("payload-attached", (Wire, "payload-present"), &|proof| {
        *proof.at("2") = Cbor::Bytes(b"payload".to_vec());
    });
    changed("algorithm-missing", (Holder, "algorithm-missing"), &|proof| {
        proof.at("0").bytes().clear();
    });
    changed("algorithm-other", (Holder, "algorithm-mismatch"), &|proof| {
        *proof.at("0").bytes() = vec![0xa1, 0x01, 0x27];
    });
    changed("algorithm-not-allowed", (Holder, "algorithm"), &|proof| {
        *proof.at("0").bytes() = vec![0xa1, 0x01, 0x05];
    });
    changed("of-another-type", CBOR, &|proof| *proof = Cbor::text("signed"));
    let mut signed = |name: &str, edit: &dyn Fn(&mut Draft<'_>)| {
        table.signed(&format!("device/{name}"), DEVICE, |draft| edit(draft));
    };
    signed("signed-by-another", &|draft| draft.device_key = Key::new(32));
    signed("signed-by-issuer", &|draft| draft.device_key = Key::new(3));
    signed("another-session", &|draft| draft.session.0 = vec![0x83, 0xf6, 0xf6, 0xf6]);
    signed("another-document-type", &|draft| draft.session.1 = "city.limen.pass.2".into());
    signed("wrapped-transcript", &|draft| {
        draft.session.0 = Cbor::embedded(draft.session.0.clone()).encode();
    });
    for field in ["nameSpaces", "deviceAuth"] {
        let name = format!("device/no-{field}");
        table.unsigned(&name, FIELD, |response| {
            response.at("documents/0/deviceSigned").remove(field);
        });
    }
    table.unsigned("device/absent", MISSING_PROOF, |response| {
        response.at("documents/0").remove("deviceSigned");
    });
    table.unsigned("device/no-proof", FIELD, |response| {
        response.at(DEVICE_AUTH).entries().clear();
    });
    table.unsigned("device/unknown-proof", FIELD, |response| {
        response.at(DEVICE_AUTH).entries()[0].0 = Cbor::text("deviceOath");
    });
    table.unsigned("device/two-proofs", (Wire, "device-auth"), |response| {
        let proof = response.at(DEVICE_AUTH).entries()[0].1.clone();
        response.at(DEVICE_AUTH).insert("deviceMac", proof);
    });
    table.unsigned("device/signature-as-mac", (Holder, "algorithm"), |response| {
        response.at(DEVICE_AUTH).entries()[0].0 = Cbor::text("deviceMac");
    });
}

fn device_mac(table: &mut Table<'_>) {
    let mac = (Holder, "device-mac");
    table.signed("device/mac-of-another-device", mac, |draft| {
        draft.mac = true;
        draft.device_key = Key::new(32);
    });
    table.signed("device/mac-of-another-session", mac, |draft| {
        draft.mac = true;
        draft.session.0 = vec![0x83, 0xf6, 0xf6, 0xf6];
    });
    table.signed("device/mac-of-another-document-type", mac, |draft| {
        draft.mac = true;
        draft.session.1 = "city.limen.pass.2".into();
    });
    let mut with_mac = |name: &str, reason: Reason, edit: &dyn Fn(&mut Cbor)| {
        let mut draft = Draft::new(table.city);
        draft.mac = true;
        let mut response = draft.build();
        edit(response.at(&format!("{DEVICE_AUTH}/deviceMac")));
        let bytes = response.encode();
        table.bytes(&format!("device/{name}"), reason, |all| *all = bytes);
    };
    with_mac("mac-changed", mac, &|proof| proof.at("3").bytes()[0] ^= 1);
    with_mac("mac-truncated", mac, &|proof| proof.at("3").bytes().truncate(8));
    with_mac("mac-empty", mac, &|proof| proof.at("3").bytes().clear());
    with_mac("mac-64-bits-algorithm", (Holder, "algorithm"), &|proof| {
        *proof.at("0").bytes() = vec![0xa1, 0x01, 0x04];
    });
    with_mac("mac-without-algorithm", (Holder, "algorithm"), &|proof| {
        proof.at("0").bytes().clear();
    });
}

fn device_elements(table: &mut Table<'_>) {
    let own = |name_space: &str, element: &str| {
        let value = Cbor::Map(vec![(Cbor::text(element), Cbor::text("first"))]);
        Cbor::Map(vec![(Cbor::text(name_space), value)]).encode()
    };
    let unauthorized = (Holder, "device-element-unauthorized");
    table.signed("device/element-never-authorized", unauthorized, |draft| {
        draft.device_name_spaces = own(NAME_SPACE, "class");
    });
    table.signed("device/element-of-another-name-space", unauthorized, |draft| {
        let authorizations =
            Cbor::Map(vec![(Cbor::text("nameSpaces"), Cbor::Array(vec![Cbor::text("only.this")]))]);
        draft.mso.at("deviceKeyInfo").insert("keyAuthorizations", authorizations);
        draft.device_name_spaces = own(NAME_SPACE, "class");
    });
    table.signed("device/element-not-among-those-authorized", unauthorized, |draft| {
        let elements =
            Cbor::Map(vec![(Cbor::text(NAME_SPACE), Cbor::Array(vec![Cbor::text("nickname")]))]);
        let authorizations = Cbor::Map(vec![(Cbor::text("dataElements"), elements)]);
        draft.mso.at("deviceKeyInfo").insert("keyAuthorizations", authorizations);
        draft.device_name_spaces = own(NAME_SPACE, "class");
    });
    table.signed("device/elements-no-map", CBOR, |draft| draft.device_name_spaces = vec![0x80]);
    table.signed("device/elements-trailing", CBOR, |draft| {
        draft.device_name_spaces = vec![0xa0, 0];
    });
    table.unsigned("device/elements-added-after-signing", DEVICE, |response| {
        let name_spaces = response.at("documents/0/deviceSigned/nameSpaces");
        *name_spaces.bytes() = own(NAME_SPACE, "class");
    });
}

fn whole_bytes(table: &mut Table<'_>) {
    let length = Draft::new(table.city).build().encode().len();
    for part in 0..10 {
        let name = format!("bytes/truncated-{part}");
        table.bytes(&name, CBOR, |bytes| bytes.truncate(length * part / 10));
    }
    table.bytes("bytes/last-missing", CBOR, truncate);
    table.bytes("bytes/trailing", CBOR, |bytes| bytes.push(0));
    table.bytes("bytes/doubled", CBOR, |bytes| bytes.extend_from_within(..));
    table.bytes("bytes/embedded", CBOR, |bytes| *bytes = Cbor::embedded(bytes.clone()).encode());
    table.bytes("bytes/deep", CBOR, |bytes| *bytes = vec![0x81; 100_000]);
    table.bytes("bytes/array-of-2-to-the-64", CBOR, |bytes| {
        *bytes = vec![0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    });
    table.bytes("bytes/text-of-2-to-the-63", CBOR, |bytes| {
        *bytes = vec![0x7b, 0x80, 0, 0, 0, 0, 0, 0, 0];
    });
    table.bytes("bytes/not-utf-8", CBOR, |bytes| bytes[2] = 0xff);
    table.bytes("bytes/json", CBOR, |bytes| *bytes = b"{\"version\":\"1.0\"}".to_vec());
}
