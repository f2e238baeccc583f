//! Tools of a forger: CBOR and DER as trees, and documents that can be changed at every level before
//! they are signed, after the issuer signed, and after the device signed.

use credential::cbor::{Decoder, Encoder, Kind};
use credential::cose;
use credential::crypto::{Algorithm, Crypto};
use credential::mdoc::{self, IssuerSigned};
use credential::rustcrypto::RustCrypto;
use credential::x509::der::{Reader, Writer};
use credential::x509::{Certificate, build};

use crate::city::{City, DOC_TYPE, Key, NAME_SPACE, six_elements};

/// A CBOR item that can be changed. `Raw` is written as it is, well formed or not.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cbor {
    Integer(i64),
    Bytes(Vec<u8>),
    Text(String),
    Array(Vec<Cbor>),
    Map(Vec<(Cbor, Cbor)>),
    Tag(u64, Box<Cbor>),
    Raw(Vec<u8>),
}

impl Cbor {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn embedded(bytes: Vec<u8>) -> Self {
        Self::Tag(24, Box::new(Self::Bytes(bytes)))
    }

    pub(crate) fn date(text: &str) -> Self {
        Self::Tag(0, Box::new(Self::text(text)))
    }

    pub(crate) fn parse(bytes: &[u8]) -> Self {
        Self::read(&mut Decoder::new(bytes).unwrap())
    }

    fn read(decoder: &mut Decoder<'_>) -> Self {
        match decoder.kind() {
            Kind::Unsigned | Kind::Negative => Self::Integer(decoder.integer().unwrap()),
            Kind::Bytes => Self::Bytes(decoder.bytes().unwrap().to_vec()),
            Kind::Text => Self::text(decoder.text().unwrap()),
            Kind::Tag => {
                let number = decoder.tag().unwrap();
                Self::Tag(number, Box::new(Self::read(decoder)))
            }
            Kind::Array => {
                let count = decoder.array().unwrap().count().unwrap();
                Self::Array((0..count).map(|_| Self::read(decoder)).collect())
            }
            Kind::Map => {
                let count = decoder.map().unwrap().count().unwrap();
                Self::Map((0..count).map(|_| (Self::read(decoder), Self::read(decoder))).collect())
            }
            _ => Self::Raw(decoder.raw().unwrap().to_vec()),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        self.write(&mut encoder);
        encoder.into_bytes()
    }

    fn write(&self, encoder: &mut Encoder) {
        match self {
            Self::Integer(value) => {
                encoder.integer(*value);
            }
            Self::Bytes(value) => {
                encoder.bytes(value);
            }
            Self::Text(value) => {
                encoder.text(value);
            }
            Self::Raw(value) => {
                encoder.raw(value);
            }
            Self::Array(entries) => {
                encoder.array(entries.len());
                entries.iter().for_each(|entry| entry.write(encoder));
            }
            Self::Map(entries) => {
                encoder.map(entries.len());
                entries.iter().for_each(|(key, value)| {
                    key.write(encoder);
                    value.write(encoder);
                });
            }
            Self::Tag(number, inner) => {
                encoder.tag(*number);
                inner.write(encoder);
            }
        }
    }

    /// The value under a path of keys, `0` to `9` for entries of arrays, joined by dots.
    pub(crate) fn at(&mut self, path: &str) -> &mut Self {
        path.split('/').filter(|name| !name.is_empty()).fold(self, |item, name| match item {
            Self::Array(entries) => &mut entries[name.parse::<usize>().unwrap()],
            Self::Map(_) => item.entry(name),
            Self::Tag(_, inner) => inner.at(name),
            other => panic!("`{name}` in {other:?}"),
        })
    }

    fn entry(&mut self, name: &str) -> &mut Self {
        let key = Self::text(name);
        let number = name.parse().map(Self::Integer).unwrap_or_else(|_| key.clone());
        let found = self.entries().iter().position(|(own, _)| *own == key || *own == number);
        let position = found.unwrap_or_else(|| panic!("no key `{name}`"));
        &mut self.entries()[position].1
    }

    pub(crate) fn entries(&mut self) -> &mut Vec<(Cbor, Cbor)> {
        match self {
            Self::Map(entries) => entries,
            other => panic!("{other:?} is no map"),
        }
    }

    pub(crate) fn list(&mut self) -> &mut Vec<Cbor> {
        match self {
            Self::Array(entries) => entries,
            other => panic!("{other:?} is no array"),
        }
    }

    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Tag(_, inner) => inner.bytes(),
            other => panic!("{other:?} is no byte string"),
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        let before = self.entries().len();
        let number = name.parse().map(Self::Integer).unwrap_or_else(|_| Self::text(name));
        self.entries().retain(|(key, _)| *key != number && *key != Self::text(name));
        assert!(self.entries().len() < before, "no key `{name}`");
    }

    pub(crate) fn insert(&mut self, name: &str, value: Cbor) {
        self.entries().push((Self::text(name), value));
    }
}

/// A DER element that can be changed.
#[derive(Clone, Debug)]
pub(crate) struct Der {
    pub(crate) tag: u8,
    pub(crate) value: Vec<u8>,
    pub(crate) children: Vec<Der>,
}

impl Der {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        Self::read(&mut Reader::new(bytes))
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        let element = reader.element().unwrap();
        let mut children = Vec::new();
        if element.tag & 0x20 != 0 {
            let mut inner = Reader::new(element.value);
            while !inner.is_empty() {
                children.push(Self::read(&mut inner));
            }
        }
        Self { tag: element.tag, value: element.value.to_vec(), children }
    }

    pub(crate) fn leaf(tag: u8, value: &[u8]) -> Self {
        Self { tag, value: value.to_vec(), children: Vec::new() }
    }

    pub(crate) fn node(tag: u8, children: Vec<Der>) -> Self {
        Self { tag, value: Vec::new(), children }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        if self.children.is_empty() {
            writer.primitive(self.tag, &self.value);
        } else {
            let inner: Vec<u8> = self.children.iter().flat_map(Self::encode).collect();
            writer.primitive(self.tag, &inner);
        }
        writer.into_bytes()
    }

    pub(crate) fn at(&mut self, path: &[usize]) -> &mut Self {
        path.iter().fold(self, |element, position| &mut element.children[*position])
    }
}

/// The city's document signer certificate with a changed signed part, signed anew by `key`.
pub(crate) fn recertify(city: &City, key: &Key, edit: impl FnOnce(&mut Der)) -> Vec<u8> {
    let mut tbs = Der::parse(Certificate::parse(&city.signer).unwrap().tbs);
    edit(&mut tbs);
    let tbs = tbs.encode();
    let signature = key.signature(&tbs);
    build::assemble(&tbs, Algorithm::Es256, signature.as_bytes()).into_bytes()
}

/// A presentation before it is put together and signed. Every part may be changed.
pub(crate) struct Draft<'c> {
    pub(crate) city: &'c City,
    /// Name space and fields of each item.
    pub(crate) items: Vec<(String, Cbor)>,
    pub(crate) mso: Cbor,
    /// The payload that is signed in place of the MSO.
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) protected: Vec<u8>,
    pub(crate) unprotected: Cbor,
    pub(crate) signer_key: Key,
    pub(crate) doc_type: String,
    pub(crate) device_name_spaces: Vec<u8>,
    pub(crate) device_protected: Vec<u8>,
    pub(crate) device_key: Key,
    /// What the device signs: transcript and document type.
    pub(crate) session: (Vec<u8>, String),
    pub(crate) mac: bool,
}

const ES256: [u8; 3] = [0xa1, 0x01, 0x26];

impl<'c> Draft<'c> {
    pub(crate) fn new(city: &'c City) -> Self {
        let issued = city.issue(&six_elements());
        let parsed = IssuerSigned::parse(&issued).unwrap();
        let items = parsed.items.iter().map(|item| {
            let inner = Cbor::parse(item.raw).bytes().clone();
            (String::from(item.name_space), Cbor::parse(&inner))
        });
        let mut issuer_auth = Cbor::parse(parsed.issuer_auth);
        let mso = Cbor::parse(Cbor::parse(issuer_auth.at("2").bytes()).bytes());
        Self {
            city,
            items: items.collect(),
            mso,
            payload: None,
            protected: ES256.to_vec(),
            unprotected: issuer_auth.at("1").clone(),
            signer_key: Key::new(3),
            doc_type: DOC_TYPE.into(),
            device_name_spaces: vec![0xa0],
            device_protected: ES256.to_vec(),
            device_key: Key::new(4),
            session: (city.transcript.clone(), DOC_TYPE.into()),
            mac: false,
        }
    }

    /// Puts the certificates into the header, leaf first.
    pub(crate) fn chain(&mut self, certificates: &[Vec<u8>]) {
        let mut list: Vec<Cbor> = certificates.iter().cloned().map(Cbor::Bytes).collect();
        *self.unprotected.at("33") =
            if list.len() == 1 { list.remove(0) } else { Cbor::Array(list) };
    }

    /// Writes the digest of item `position`, as it now is, into the MSO.
    pub(crate) fn digest_anew(&mut self, position: usize) {
        let (name_space, item) = &mut self.items[position];
        let raw = Cbor::embedded(item.encode()).encode();
        let Cbor::Integer(id) = item.at("digestID") else { panic!("digestID is no integer") };
        let digests = self.mso.at("valueDigests").at(name_space).entries();
        let digest = Cbor::Bytes(RustCrypto.sha256(&raw).to_vec());
        match digests.iter_mut().find(|(key, _)| *key == Cbor::Integer(*id)) {
            Some((_, old)) => *old = digest,
            None => digests.push((Cbor::Integer(*id), digest)),
        }
    }

    /// Signs as issuer and device, and puts the response together.
    pub(crate) fn build(self) -> Cbor {
        let payload = self.payload.unwrap_or_else(|| Cbor::embedded(self.mso.encode()).encode());
        let signed = cose::structure("Signature1", &self.protected, &[], &payload);
        let signature = self.signer_key.signature(&signed);
        let issuer_auth = Cbor::Array(vec![
            Cbor::Bytes(self.protected),
            self.unprotected,
            Cbor::Bytes(payload),
            Cbor::Bytes(signature.as_bytes().to_vec()),
        ]);
        let mut name_spaces: Vec<(Cbor, Cbor)> = Vec::new();
        for (name_space, item) in &self.items {
            let item = Cbor::embedded(item.encode());
            match name_spaces.iter_mut().find(|(name, _)| *name == Cbor::text(name_space)) {
                Some((_, list)) => list.list().push(item),
                None => name_spaces.push((Cbor::text(name_space), Cbor::Array(vec![item]))),
            }
        }
        let device_name_spaces = Cbor::embedded(self.device_name_spaces);
        let authentication = Cbor::Array(vec![
            Cbor::text("DeviceAuthentication"),
            Cbor::Raw(self.session.0),
            Cbor::text(&self.session.1),
            device_name_spaces.clone(),
        ]);
        let payload = Cbor::embedded(authentication.encode()).encode();
        let (kind, protected, proof) = if self.mac {
            let reader = self.city.ephemeral_reader_key.point();
            let shared = RustCrypto.p256_agree(&self.device_key.secret, &reader).unwrap();
            let key = mdoc::e_mac_key(&RustCrypto, &shared, &self.city.transcript).unwrap();
            let protected = vec![0xa1, 0x01, 0x05];
            let message = cose::structure("MAC0", &protected, &[], &payload);
            ("deviceMac", protected, RustCrypto.hmac_sha256(&key, &message).to_vec())
        } else {
            let message = cose::structure("Signature1", &self.device_protected, &[], &payload);
            let signature = self.device_key.signature(&message).as_bytes().to_vec();
            ("deviceSignature", self.device_protected, signature)
        };
        let proof = Cbor::Array(vec![
            Cbor::Bytes(protected),
            Cbor::Map(vec![]),
            Cbor::Raw(vec![0xf6]),
            Cbor::Bytes(proof),
        ]);
        let map = |entries: Vec<(&str, Cbor)>| {
            Cbor::Map(entries.into_iter().map(|(key, value)| (Cbor::text(key), value)).collect())
        };
        let issuer_signed =
            map(vec![("nameSpaces", Cbor::Map(name_spaces)), ("issuerAuth", issuer_auth)]);
        let device_signed =
            map(vec![("nameSpaces", device_name_spaces), ("deviceAuth", map(vec![(kind, proof)]))]);
        let document = map(vec![
            ("docType", Cbor::text(&self.doc_type)),
            ("issuerSigned", issuer_signed),
            ("deviceSigned", device_signed),
        ]);
        map(vec![
            ("version", Cbor::text("1.0")),
            ("documents", Cbor::Array(vec![document])),
            ("status", Cbor::Integer(0)),
        ])
    }
}

/// The path to the issuer's COSE_Sign1 in a response.
pub(crate) const ISSUER_AUTH: &str = "documents/0/issuerSigned/issuerAuth";
/// The path to the device's COSE message in a response.
pub(crate) const DEVICE_AUTH: &str = "documents/0/deviceSigned/deviceAuth";

/// The items of the city's name space in a response.
pub(crate) fn items(response: &mut Cbor) -> &mut Vec<Cbor> {
    response.at("documents/0/issuerSigned/nameSpaces").at(NAME_SPACE).list()
}

/// Takes the last byte away.
pub(crate) fn truncate(bytes: &mut Vec<u8>) {
    bytes.truncate(bytes.len() - 1);
}
