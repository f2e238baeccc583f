//! `limen credential inspect`: what is inside, readable, with every date and key. Verifies nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use credential::access_document::{named_device, pass};
use credential::aws_lc::AwsLc;
use credential::cose::Sign1;
use credential::crypto::{Algorithm, PublicKey};
use credential::jose::{Jws, jwk};
use credential::mdoc::{DeviceAuth, DeviceResponse, Document, IssuerSigned, MobileSecurityObject};
use credential::rejection::{Culprit, Rejection};
use credential::sd_jwt::SdJwt;
use credential::status::StatusReference;
use credential::x509::{Certificate, pem};
use serde_json::{Map, Value, json};

use super::{access, json as as_json, verify};
use crate::failure::Failure;
use crate::input::{self, Encoded};
use crate::output;
use crate::tree::Tree;

#[derive(Args)]
#[command(after_help = "Examples:\n  \
    limen credential inspect pass.cbor\n  \
    limen credential inspect pass.sd-jwt --json | jq .disclosures\n  \
    limen credential inspect certificate.pem")]
pub(crate) struct Inspect {
    /// An IssuerSigned, a DeviceResponse, an access document, an SD-JWT, a JWT or a PEM certificate; raw, hexadecimal
    /// or base64url; `-` for standard input.
    file: PathBuf,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let described = match input::recognise(input::read(&self.file)?) {
            Encoded::Text(text) if text.contains("-----BEGIN") => certificates(&text),
            Encoded::Text(text) if text.contains('~') => sd_jwt(&text),
            Encoded::Text(text) => Jws::parse(&text, Culprit::Issuer).and_then(|jws| jwt(&jws)),
            Encoded::Cbor(bytes) if access::is_access_document(&bytes) => access_document(&bytes),
            Encoded::Cbor(bytes) => mdoc(&bytes),
        };
        let tree = described.map_err(|rejection| {
            let path = self.file.display();
            Failure::broken(format!("cannot read `{path}` as a credential: {rejection}"))
        })?;
        if self.json {
            output::json(&tree.to_json())?
        } else {
            output::text(&tree.to_text())?
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn access_document(bytes: &[u8]) -> Result<Tree, Rejection> {
    let mut tree = Tree::new();
    tree.leaf("format", access::FORMAT);
    match named_device(bytes)? {
        Some(device) => tree.branch("device key", key(&device)),
        None => tree.leaf("device key", "none"),
    }
    let mut claims = Tree::new();
    for (name, value) in access::claims(&pass::danger_unverified_rights(bytes)?)? {
        claims.leaf(name, value);
    }
    tree.branch("city pass", claims);
    Ok(tree)
}

fn mdoc(bytes: &[u8]) -> Result<Tree, Rejection> {
    let mut tree = Tree::new();
    if verify::is_issuer_signed(bytes)? {
        tree.leaf("format", "mso_mdoc, IssuerSigned");
        issuer_signed(&mut tree, &IssuerSigned::parse(bytes)?)?;
        return Ok(tree);
    }
    let response = DeviceResponse::parse(bytes)?;
    tree.leaf("format", "mso_mdoc, DeviceResponse");
    tree.leaf("version", response.version);
    tree.leaf("status", response.status);
    for (number, document) in response.documents.iter().enumerate() {
        tree.branch(format!("document {}", number + 1), describe_document(document)?);
    }
    for error in &response.document_errors {
        tree.leaf(format!("not returned: {}", error.doc_type), error.code);
    }
    Ok(tree)
}

fn describe_document(document: &Document<'_>) -> Result<Tree, Rejection> {
    let mut tree = Tree::new();
    tree.leaf("document type", document.doc_type);
    issuer_signed(&mut tree, &document.issuer_signed)?;
    let proof = match document.device_signed.as_ref().map(|device| device.auth) {
        None => "none",
        Some(DeviceAuth::Signature(_)) => "device signature",
        Some(DeviceAuth::Mac(_)) => "device MAC",
    };
    tree.leaf("proof of the holder", proof);
    for error in &document.errors {
        tree.leaf(format!("not returned: {} {}", error.name_space, error.element), error.code);
    }
    Ok(tree)
}

fn issuer_signed(tree: &mut Tree, document: &IssuerSigned<'_>) -> Result<(), Rejection> {
    let auth = Sign1::parse(document.issuer_auth)?;
    let payload = auth.payload.unwrap_or_default();
    let mso = MobileSecurityObject::parse(payload)?;
    let mut signed = Tree::new();
    signed.leaf("document type", mso.doc_type);
    signed.leaf("digests", mso.digest_algorithm.mso_name());
    signed.leaf("signed", mso.signed.to_string());
    signed.leaf("valid from", mso.valid_from.to_string());
    signed.leaf("valid until", mso.valid_until.to_string());
    if let Some(at) = mso.expected_update {
        signed.leaf("expected update", at.to_string());
    }
    signed.branch("device key", key(&mso.device_key));
    if let Some(StatusReference { uri, index }) = mso.status {
        signed.leaf("status list", uri);
        signed.leaf("status index", index);
    }
    tree.branch("mobile security object", signed);
    let algorithm = auth.protected.alg.and_then(Algorithm::from_cose_id);
    let algorithm =
        algorithm.map_or_else(|| format!("{:?}", auth.protected.alg), |a| a.to_string());
    tree.leaf("issuer signature", algorithm);
    for (number, der) in auth.unprotected.x5chain.certificates().iter().enumerate() {
        tree.branch(format!("certificate {}", number + 1), certificate(der));
    }
    if let Some(hash) = auth.protected.x5t {
        tree.leaf("signer named by sha-256", hex(hash));
    }
    let mut elements = Tree::new();
    for item in &document.items {
        let mut element = Tree::new();
        element.leaf("value", as_json::cbor(item.value));
        element.leaf("digest", item.digest_id);
        element.leaf("salt bytes", item.random.len());
        elements.branch(format!("{} {}", item.name_space, item.element), element);
    }
    tree.branch("elements", elements);
    Ok(())
}

fn sd_jwt(text: &str) -> Result<Tree, Rejection> {
    let parsed = SdJwt::parse(text)?;
    let mut tree = Tree::new();
    tree.leaf("format", "SD-JWT");
    tree.branch("issuer", jwt(&parsed.jws)?);
    let mut disclosures = Tree::new();
    for disclosure in &parsed.disclosures {
        let name = disclosure.name.as_deref().unwrap_or("(array element)");
        disclosures.leaf(name, disclosure.value.clone());
    }
    tree.branch("disclosures", disclosures);
    match &parsed.key_binding {
        Some(proof) => tree.branch("proof of the holder", jwt(proof)?),
        None => tree.leaf("proof of the holder", "none"),
    }
    Ok(tree)
}

fn jwt(jws: &Jws<'_>) -> Result<Tree, Rejection> {
    let mut tree = Tree::new();
    tree.leaf("algorithm", jws.header.algorithm.to_string());
    tree.leaf("type", jws.header.typ.as_deref().unwrap_or("(none)"));
    if let Some(kid) = &jws.header.kid {
        tree.leaf("key id", kid.as_str());
    }
    for (number, der) in jws.header.x5c.iter().enumerate() {
        tree.branch(format!("certificate {}", number + 1), certificate(der));
    }
    let mut claims = Tree::new();
    for (name, value) in jws.claims()?.members() {
        claims.leaf(name.as_str(), readable_claim(name, value));
    }
    tree.branch("claims", claims);
    Ok(tree)
}

/// Dates in seconds since 1970 are shown as dates beside the number.
fn readable_claim(name: &str, value: &Value) -> Value {
    let seconds = value.as_i64().filter(|_| ["iat", "nbf", "exp", "auth_time"].contains(&name));
    match seconds {
        Some(seconds) => {
            let at = vocabulary::time::Instant::from_unix_seconds(seconds);
            json!(format!("{seconds} ({at})"))
        }
        None => value.clone(),
    }
}

fn certificates(text: &str) -> Result<Tree, Rejection> {
    let ders = pem::decode(text, pem::CERTIFICATE)
        .map_err(|error| Rejection::wire("pem", error.to_string()))?;
    let mut tree = Tree::new();
    tree.leaf("format", "X.509 certificates");
    for (number, der) in ders.iter().enumerate() {
        tree.branch(format!("certificate {}", number + 1), certificate(der));
    }
    Ok(tree)
}

fn certificate(der: &[u8]) -> Tree {
    let mut tree = Tree::new();
    let certificate = match Certificate::parse(der) {
        Ok(certificate) => certificate,
        Err(error) => {
            tree.leaf("unreadable", error.to_string());
            return tree;
        }
    };
    tree.leaf("subject", certificate.subject.to_string());
    tree.leaf("issuer", certificate.issuer.to_string());
    tree.leaf("serial", hex(certificate.serial));
    tree.leaf("not before", certificate.not_before.to_string());
    tree.leaf("not after", certificate.not_after.to_string());
    let authority = certificate.basic_constraints.is_some_and(|c| c.authority);
    tree.leaf("authority", authority);
    tree.branch("key", key(&certificate.public_key));
    tree
}

fn key(key: &PublicKey) -> Tree {
    let mut tree = Tree::new();
    tree.leaf("algorithm", key.algorithm().to_string());
    tree.leaf("thumbprint", hex(&jwk::thumbprint(&AwsLc, key)));
    let members = jwk::write(key);
    for (name, value) in members.as_object().unwrap_or(&Map::new()) {
        tree.leaf(name.as_str(), value.clone());
    }
    tree
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
