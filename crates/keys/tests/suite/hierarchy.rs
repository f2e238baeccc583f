//! The whole hierarchy with real objects: what the other crates make is what the keys sign, and what
//! is signed verifies.

use credential::aws_lc::AwsLc;
use credential::crypto::{Algorithm, Crypto, HashAlgorithm};
use credential::jose::HeaderParts;
use credential::mdoc::{ENTROPY_BYTES_PER_ELEMENT, IssueRequest, NameSpace, Validity};
use credential::sd_jwt::{CREDENTIAL_TYP, CredentialRequest};
use credential::status::{Bits, CwtHeader, JWT_TYP, StatusList, StatusListClaims};
use credential::unsigned::Unsigned;
use credential::x509::Certificate;
use credential::x509::build::{
    CertificateDer, Purpose as CertificatePurpose, Request, Signer, Subject, certificate,
};
use keys::custody::{Custody, Key, NewKey};
use keys::object::TypedObject;
use keys::purpose::Purpose;
use keys::seal::Kind;
use keys::software::Keystore;
use vocabulary::time::Instant;

use crate::folder::Folder;
use crate::keystore::wait;

const NOW: Instant = Instant::from_unix_seconds(1_790_000_000);

/// Has `unsigned` signed by `key` as what its purpose signs, and checks the signature.
fn signed<T>(store: &Keystore, key: &Key, unsigned: Unsigned<T>) -> T {
    let bytes = unsigned.to_be_signed().to_vec();
    let object = TypedObject::parse(key.purpose.object_type(), &bytes).unwrap();
    let signature = wait(store.sign(&key.handle, &object)).unwrap();
    AwsLc.verify(&key.public_key, &bytes, signature.as_bytes()).unwrap();
    unsigned.complete(&signature)
}

fn new_key(store: &Keystore, purpose: Purpose) -> Key {
    wait(store.generate(NewKey::active(purpose, None, NOW))).unwrap()
}

fn request<'r>(purpose: CertificatePurpose, name: &'r str, key: &'r Key) -> Request<'r> {
    Request {
        purpose,
        subject: Subject { common_name: name, organization: None, country: "NL" },
        key: &key.public_key,
        not_before: NOW,
        not_after: Instant::from_unix_seconds(1_790_086_400),
        serial_entropy: [7; 16],
        issuer_uri: "https://limen.example",
        crl_uri: "https://limen.example/crl",
    }
}

/// Certifies `key` by `authority` and keeps the certificate beside it.
fn certify(
    (holder, key): (&Keystore, &Key),
    purpose: CertificatePurpose,
    (custodian, authority): (&Keystore, &Key),
) -> Key {
    let of_authority = authority.certificate.as_deref().map(|der| Certificate::parse(der).unwrap());
    let signer = of_authority.as_ref().map_or(Signer::Subject, Signer::Authority);
    let unsigned = certificate(&request(purpose, key.purpose.as_str(), key), signer).unwrap();
    let der: CertificateDer = signed(custodian, authority, unsigned);
    wait(holder.attach_certificate(&key.handle, der.as_bytes())).unwrap()
}

#[test]
fn keys_sign_what_the_other_crates_make_from_root_to_document() {
    let folder = Folder::new();
    let unlock = folder.unlock();
    let root_store = Keystore::create(&folder.path("root.sealed"), Kind::Root, &unlock).unwrap();
    let store = Keystore::create(&folder.path("keys.sealed"), Kind::Server, &unlock).unwrap();
    let key = |purpose| new_key(&store, purpose);

    let root = new_key(&root_store, Purpose::CityRoot);
    let root = certify((&root_store, &root), CertificatePurpose::Root, (&root_store, &root));
    let by_root = |purpose, of| certify((&store, &key(purpose)), of, (&root_store, &root));
    let issuing = by_root(Purpose::IssuingAuthority, CertificatePurpose::Authority);
    let readers = by_root(Purpose::ReaderAuthority, CertificatePurpose::Authority);
    by_root(Purpose::Bundle, CertificatePurpose::BundleSigner);
    let status = by_root(Purpose::StatusList, CertificatePurpose::Leaf);
    let by_issuing = |purpose| {
        certify((&store, &key(purpose)), CertificatePurpose::DocumentSigner, (&store, &issuing))
    };
    let mdoc_signer = by_issuing(Purpose::DocumentSignerMdoc);
    let sd_jwt_signer = by_issuing(Purpose::DocumentSignerSdJwt);

    let device = mdoc_signer.public_key.clone();
    let unsigned = certificate(
        &request(CertificatePurpose::Reader, "gate 1", &mdoc_signer),
        Signer::Authority(&Certificate::parse(readers.certificate.as_deref().unwrap()).unwrap()),
    );
    signed(&store, &readers, unsigned.unwrap());

    let validity =
        Validity { signed: NOW, valid_from: NOW, valid_until: NOW, expected_update: None };
    let name_spaces = [NameSpace { name: "n", elements: &[("e", &[0x01])] }];
    let document = IssueRequest {
        doc_type: "city.limen.pass.1",
        name_spaces: &name_spaces,
        device_key: &device,
        authorized_name_spaces: &[],
        validity,
        status: None,
    };
    let chain = [mdoc_signer.certificate.as_deref().unwrap()];
    let entropy = [3; ENTROPY_BYTES_PER_ELEMENT];
    let mdoc = credential::mdoc::issue(&AwsLc, &document, &chain, &entropy).unwrap();
    signed(&store, &mdoc_signer, mdoc);

    let sd_jwt = CredentialRequest {
        header: HeaderParts::new(Algorithm::Es256, CREDENTIAL_TYP),
        vct: "urn:limen:pass:1",
        issuer: None,
        issued_at: NOW,
        not_before: None,
        expires_at: None,
        holder_key: Some(&device),
        status: None,
        claims: serde_json::from_str(r#"{"class":"first"}"#).unwrap(),
        concealed: &["/class"],
        decoys: &[],
        hash: HashAlgorithm::Sha256,
        salts: &[[1; 16]],
    };
    signed(&store, &sd_jwt_signer, sd_jwt.issue(&AwsLc).unwrap());

    sign_status_list(&store, &status);
}

fn sign_status_list(store: &Keystore, key: &Key) {
    let list = StatusListClaims {
        uri: "https://limen.example/status/0".to_owned(),
        issued_at: NOW,
        expires_at: None,
        ttl: None,
        list: StatusList::new(Bits::Two, 64).unwrap(),
    };
    signed(store, key, list.jwt(HeaderParts::new(Algorithm::Es256, JWT_TYP)));
    let header = CwtHeader { algorithm: Algorithm::Es256, kid: None, x5chain: &[] };
    signed(store, key, list.cwt(header));
}
