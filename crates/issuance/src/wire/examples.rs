//! The examples that the OpenID Foundation publishes with OpenID4VCI 1.0, read as they stand.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ::credential::jose::{Jws, jwk};
use ::credential::rejection::Culprit;
use ::credential::rustcrypto::RustCrypto;
use serde_json::Value;
use vocabulary::time::Instant;

use super::metadata::{IssuerMetadata, Supported};
use super::offer::OfferObject;
use super::{credential, token};
use crate::attestation::{AttestationUse, verify_attestation};
use crate::collect::CollectRefusal;
use crate::product::AttestationLevel;
use crate::token::TokenRefusal;

/// One example. Where the folder is absent this says what was not run, and under `CI=true` it fails.
fn example(name: &str) -> Option<Value> {
    let shared = std::env::var_os("LIMEN_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let path = shared.join("vectors/openid4vc/openid4vci-1.0").join(name);
    let Ok(text) = std::fs::read(&path) else {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "`{name}` is absent");
        eprintln!("NOT RUN: example `{name}` is absent; set LIMEN_SHARED to the shared folder");
        return None;
    };
    let file: Value = serde_json::from_slice(&text).unwrap();
    Some(file.get("json").or_else(|| file.get("text")).unwrap().clone())
}

/// The JSON body of an example that is an HTTP message.
fn body(message: &Value) -> Value {
    let (_, body) = message.as_str().unwrap().split_once("\n\n").unwrap();
    joined(body)
}

/// JSON whose texts are broken into lines for display.
fn joined(text: &str) -> Value {
    let text: String = text.lines().map(str::trim).collect();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn offers_with_a_pre_authorized_code_have_the_shape_of_ours() {
    for (name, code, asks) in [
        ("credential_offer_by_reference.json", "adhjhdjajkdkhjhdj", true),
        ("credential_offer_multiple_credentials.json", "oaKazRN8I0IbtZ0C7JuMn5", true),
        ("credential_offer_pre-authz_code.json", "adhjhdjajkdkhjhdj", true),
    ] {
        let Some(value) = example(name) else { continue };
        let offer: OfferObject = serde_json::from_value(value.clone()).unwrap();
        let ours = serde_json::to_value(&offer).unwrap();
        assert_eq!(ours["credential_issuer"], value["credential_issuer"], "{name}");
        let ids = "credential_configuration_ids";
        assert_eq!(ours[ids], value[ids], "{name}");
        let grant = &ours["grants"][super::offer::PRE_AUTHORIZED_CODE];
        assert_eq!(grant["pre-authorized_code"], code, "{name}");
        assert_eq!(grant.get("tx_code").is_some(), asks, "{name}");
    }
}

#[test]
fn configurations_of_both_formats_have_the_shape_of_ours() {
    for (name, id, type_name) in [
        ("credential_metadata_mso_mdoc.json", "org.iso.18013.5.1.mDL", "doctype"),
        ("credential_metadata_sd_jwt_vc.json", "SD_JWT_VC_example_in_OpenID4VCI", "vct"),
    ] {
        let Some(value) = example(name) else { continue };
        let value = &value["credential_configurations_supported"];
        let supported: BTreeMap<String, Supported> = serde_json::from_value(value.clone()).unwrap();
        let ours = serde_json::to_value(&supported[id]).unwrap();
        for member in [
            "format",
            type_name,
            "cryptographic_binding_methods_supported",
            "credential_signing_alg_values_supported",
        ] {
            assert_eq!(ours[member], value[id][member], "{name} {member}");
        }
    }
}

#[test]
fn issuer_metadata_has_the_shape_of_ours() {
    let Some(value) = example("credential_issuer_metadata_sd_jwt_long.json") else { return };
    let metadata: IssuerMetadata = serde_json::from_value(value.clone()).unwrap();
    let ours = serde_json::to_value(&metadata).unwrap();
    for member in [
        "credential_issuer",
        "credential_endpoint",
        "nonce_endpoint",
        "notification_endpoint",
        "batch_credential_issuance",
    ] {
        assert_eq!(ours[member], value[member], "{member}");
    }
    let required = "/credential_configurations_supported/SD_JWT_VC_example_in_OpenID4VCI\
                    /proof_types_supported/jwt/key_attestations_required/key_storage";
    let names = value.pointer(required).unwrap();
    assert_eq!(ours.pointer(required), Some(names));
    let level = AttestationLevel::named(names[0].as_str().unwrap());
    assert_eq!(level, Some(AttestationLevel::Moderate));
}

#[test]
fn request_of_a_draft_is_refused_and_the_final_one_read() {
    if let Some(draft) = example("credential_request_iso_mdl.json") {
        let refusal = credential::read(draft.to_string().as_bytes()).err();
        assert_eq!(refusal, Some(CollectRefusal::Form));
    }
    let request = r#"{"credential_configuration_id": "day-ticket.mso_mdoc", "proofs": {"jwt": [
        "eyJraWQiOiJkaWQ6ZXhhbXBsZTplYmZlYjFmNzEyZWJjNmYxYzI3NmUxMmVjMjEva2V5cy8x"]}}"#;
    assert!(credential::read(request.as_bytes()).is_ok());
}

#[test]
fn responses_have_the_shape_of_ours() {
    for name in ["credential_response_mso_mdoc.json", "credential_response_sd_jwt_vc.json"] {
        let Some(message) = example(name) else { continue };
        let theirs = body(&message);
        let issued = theirs["credentials"][0]["credential"].as_str().unwrap().to_owned();
        let mut ours: Value = serde_json::from_str(&credential::write(&[issued], "id")).unwrap();
        ours.as_object_mut().unwrap().remove("notification_id");
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn token_request_for_authorization_details_is_refused() {
    let form = "grant_type=urn:ietf:params:oauth:grant-type:pre-authorized_code\
                &pre-authorized_code=SplxlOBeZQQYbYS6WxSbIA&tx_code=493536";
    assert!(token::read(form.as_bytes()).is_ok());
    for name in ["authorization_details.json", "authorization_details_mso_doc.json"] {
        let Some(details) = example(name) else { continue };
        let details = super::percent::encode(&details.to_string());
        let form = format!("{form}&authorization_details={details}");
        assert_eq!(token::read(form.as_bytes()).err(), Some(TokenRefusal::Form), "{name}");
    }
}

#[test]
fn keys_are_read_and_a_wallet_attestation_is_no_key_attestation() {
    if let Some(text) = example("issuer_jwks.json") {
        let jwks = joined(text.as_str().unwrap());
        assert!(jwk::parse(&jwks["jwks"]["keys"][0]).is_ok());
    }
    if let Some(text) = example("wallet_attestation.jwt.json") {
        let text = text.as_str().unwrap().replace('\n', "");
        assert!(Jws::parse(&text, Culprit::Holder).is_ok());
        let at = Instant::from_unix_seconds(1_755_050_000);
        let refusal = verify_attestation(&RustCrypto, &text, &[], AttestationUse::Proof, at);
        assert!(refusal.unwrap_err().to_string().contains("key-attestation+jwt"));
    }
}
