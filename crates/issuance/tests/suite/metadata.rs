//! Metadata as a wallet reads it.

use credential::crypto::Algorithm;
use issuance::product::{AttestationLevel, Bearer, RightsTemplate, Terms};
use issuance::wire::metadata::{issuer_metadata, server_metadata};
use serde_json::{Value, json};

use crate::city::{City, badge, ticket};

const ES256: Option<Algorithm> = Some(Algorithm::Es256);

fn metadata(terms: Terms) -> Value {
    let city = City::with(terms);
    serde_json::from_str(&issuer_metadata(&city.issuer, &city.rows.products, ES256)).unwrap()
}

#[test]
fn issuer_metadata_says_what_is_on_offer() {
    let base = "https://city.example/issuers/harbour";
    let metadata = metadata(ticket());
    let supported = &metadata["credential_configurations_supported"];
    assert_eq!(metadata["credential_issuer"], json!(base));
    assert_eq!(metadata["credential_endpoint"], json!(format!("{base}/credential")));
    assert_eq!(metadata["nonce_endpoint"], json!(format!("{base}/nonce")));
    assert_eq!(metadata["notification_endpoint"], json!(format!("{base}/notification")));
    assert_eq!(metadata["batch_credential_issuance"], json!({"batch_size": 32}));
    assert_eq!(
        supported["day-ticket.mso_mdoc"],
        json!({
            "format": "mso_mdoc",
            "doctype": "city.limen.pass.1",
            "cryptographic_binding_methods_supported": ["cose_key"],
            "credential_signing_alg_values_supported": [-7],
            "proof_types_supported": {
                "attestation": {"proof_signing_alg_values_supported": ["ES256"]},
                "jwt": {"proof_signing_alg_values_supported": ["ES256"]},
            },
            "credential_metadata": {"display": [
                {"name": "Day ticket", "locale": "en", "description": "A and B"},
                {"name": "Tageskarte", "locale": "de"},
            ]},
        })
    );
    let sd_jwt = &supported["day-ticket.dc+sd-jwt"];
    assert_eq!(sd_jwt["vct"], json!("urn:limen:pass:1"));
    assert_eq!(sd_jwt["credential_signing_alg_values_supported"], json!(["ES256"]));
    assert_eq!(sd_jwt["cryptographic_binding_methods_supported"], json!(["jwk"]));
}

#[test]
fn required_attestation_lists_every_level_that_is_high_enough() {
    let required = |level: AttestationLevel| {
        let metadata = metadata(Terms { attestation_min: level, ..badge() });
        let supported = &metadata["credential_configurations_supported"]["day-ticket.mso_mdoc"];
        supported["proof_types_supported"]["jwt"]["key_attestations_required"].clone()
    };
    assert_eq!(required(AttestationLevel::None), Value::Null);
    assert_eq!(
        required(AttestationLevel::Moderate),
        json!({"key_storage": ["iso_18045_moderate", "iso_18045_high"]})
    );
    let software = required(AttestationLevel::Software);
    assert_eq!(software["key_storage"][0], json!("urn:limen:key-storage:software"));
}

#[test]
fn user_authentication_is_asked_for_passes_of_their_holder_alone_above_software() {
    use AttestationLevel as L;
    let asked = |bearer, attestation_min| {
        let rights = RightsTemplate { bearer, ..badge().rights };
        let metadata = metadata(Terms { attestation_min, rights, ..badge() });
        let supported = &metadata["credential_configurations_supported"]["day-ticket.dc+sd-jwt"];
        let required = &supported["proof_types_supported"]["jwt"]["key_attestations_required"];
        required.get("user_authentication").cloned()
    };
    let both = json!(["iso_18045_moderate", "iso_18045_high"]);
    assert_eq!(asked(Bearer::HolderOnly, L::Moderate), Some(both));
    assert_eq!(asked(Bearer::HolderOnly, L::Software), None);
    assert_eq!(asked(Bearer::HolderOnly, L::None), None);
    assert_eq!(asked(Bearer::Anyone, L::Moderate), None);
}

#[test]
fn access_documents_are_listed_where_they_can_be_given() {
    let listed = |terms: Terms, signer| {
        let city = City::with(terms);
        let text = issuer_metadata(&city.issuer, &city.rows.products, signer);
        let metadata: Value = serde_json::from_str(&text).unwrap();
        let supported = metadata["credential_configurations_supported"].as_object().unwrap();
        assert!(supported.contains_key("day-ticket.mso_mdoc"));
        supported.get("day-ticket.limen-access-document").cloned()
    };
    let found = listed(ticket(), ES256).unwrap();
    assert_eq!(found["format"], json!("limen-access-document"));
    assert_eq!(found["cryptographic_binding_methods_supported"], json!(["cose_key"]));
    assert_eq!(found["credential_signing_alg_values_supported"], json!([-7]));
    for signer in [Some(Algorithm::Es384), Some(Algorithm::MlDsa44Es256), None] {
        assert_eq!(listed(ticket(), signer), None, "{signer:?}");
    }
    let with_places = |count: usize| {
        let places = (0..count).map(|n| format!("{0}/{0}/{n}", "a".repeat(28)).parse().unwrap());
        let rights = RightsTemplate { places: places.collect(), ..ticket().rights };
        Terms { rights, ..ticket() }
    };
    assert!(listed(with_places(8), ES256).is_some(), "they have room");
    assert_eq!(listed(with_places(16), ES256), None, "they have none");
}

#[test]
fn server_metadata_lets_wallets_come_without_an_account() {
    let city = City::with(ticket());
    let metadata: Value = serde_json::from_str(&server_metadata(&city.issuer)).unwrap();
    assert_eq!(
        metadata,
        json!({
            "issuer": "https://city.example/issuers/harbour",
            "token_endpoint": "https://city.example/issuers/harbour/token",
            "grant_types_supported": ["urn:ietf:params:oauth:grant-type:pre-authorized_code"],
            "token_endpoint_auth_methods_supported": ["none"],
            "dpop_signing_alg_values_supported": ["ES256"],
            "pre-authorized_grant_anonymous_access_supported": true,
        })
    );
}

#[test]
fn products_of_another_operator_are_not_mentioned() {
    let city = City::with(ticket());
    let mut product = city.rows.products[0].clone();
    product.operator = "other".parse().unwrap();
    let metadata: Value =
        serde_json::from_str(&issuer_metadata(&city.issuer, &[product], ES256)).unwrap();
    assert_eq!(metadata["credential_configurations_supported"], json!({}));
}
