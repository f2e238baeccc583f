//! Whatever a wallet sends, nothing panics.

use credential::rustcrypto::RustCrypto;
use issuance::access::Authorization;
use issuance::attestation::{AttestationUse, verify_attestation};
use issuance::dpop::{BoundRequest, verify_dpop};
use issuance::issuer::{Configuration, Issuer};
use issuance::wire;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::city::{NOW, at};
use crate::wallet::Key;

/// Any JSON of moderate size.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let names = "[a-z_]{1,12}";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names, inner, 0..4).prop_map(|members| json!(members)),
        ]
    })
}

fn verify_both(text: &str) {
    let request = BoundRequest { method: "POST", url: "https://a", access_token: None };
    assert!(verify_dpop(&RustCrypto, text, request, at(NOW)).is_err());
    let verified = verify_attestation(&RustCrypto, text, &[], AttestationUse::Proof, at(NOW));
    assert!(verified.is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let _ = wire::credential::read(&bytes);
        let _ = wire::notification::read(&bytes);
    }

    #[test]
    fn arbitrary_text_never_panics(text: String) {
        let _ = Authorization::parse(&text);
        let _ = Configuration::parse(&text);
        let _ = Issuer::new("harbour".parse().unwrap(), String::new(), &text);
        verify_both(&text);
    }

    #[test]
    fn arbitrary_json_never_panics(value in any_json()) {
        let _ = wire::recurrence::read(&value);
        let body = json!({
            "credential_configuration_id": "day-ticket.mso_mdoc",
            "proofs": value.clone(),
        });
        let _ = wire::credential::read(body.to_string().as_bytes());
        let _ = wire::notification::read(value.to_string().as_bytes());
    }

    #[test]
    fn signed_nonsense_never_passes(claims in any_json()) {
        let key = Key::new(31);
        for typ in ["dpop+jwt", "key-attestation+jwt"] {
            let header = json!({"typ": typ, "alg": "ES256", "jwk": key.jwk()});
            verify_both(&key.jws(&header, &claims));
        }
    }
}
