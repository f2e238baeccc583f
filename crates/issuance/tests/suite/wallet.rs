//! A wallet that signs whatever a test tells it to.

use credential::crypto::{Crypto, P256Secret, PublicKey};
use credential::jose::{base64url, jwk};
use credential::rustcrypto::RustCrypto;
use serde_json::{Value, json};

/// A key of the wallet.
#[derive(Clone)]
pub struct Key {
    secret: P256Secret,
    pub public: PublicKey,
}

impl Key {
    pub fn new(seed: u8) -> Self {
        let secret = P256Secret::from_bytes([seed; 32]);
        let public = PublicKey::P256(RustCrypto.p256_public(&secret).unwrap());
        Self { secret, public }
    }

    pub fn jwk(&self) -> Value {
        jwk::write(&self.public)
    }

    pub fn sign(&self, message: &[u8]) -> credential::crypto::Signature {
        RustCrypto.p256_sign(&self.secret, message).unwrap()
    }

    /// A compact JWS over exactly these members.
    pub fn jws(&self, header: &Value, claims: &Value) -> String {
        let [header, claims] =
            [header, claims].map(|v| base64url::encode(v.to_string().as_bytes()));
        let input = format!("{header}.{claims}");
        let signature = self.sign(input.as_bytes());
        format!("{input}.{}", base64url::encode(signature.as_bytes()))
    }
}

/// `value` with one member replaced, or removed when `to` is null.
pub fn with(mut value: Value, member: &str, to: Value) -> Value {
    let members = value.as_object_mut().unwrap();
    match to {
        Value::Null => drop(members.remove(member)),
        to => drop(members.insert(member.into(), to)),
    }
    value
}

/// Header and claims of a JWT before it is signed.
#[derive(Clone)]
pub struct Draft {
    pub header: Value,
    pub claims: Value,
}

impl Draft {
    pub fn header(self, member: &str, to: Value) -> Self {
        Self { header: with(self.header, member, to), ..self }
    }

    pub fn claim(self, member: &str, to: Value) -> Self {
        Self { claims: with(self.claims, member, to), ..self }
    }

    pub fn sign(&self, key: &Key) -> String {
        key.jws(&self.header, &self.claims)
    }
}

pub fn proof(key: &Key, issuer: &str, nonce: &str, seconds: i64) -> Draft {
    Draft {
        header: json!({"typ": "openid4vci-proof+jwt", "alg": "ES256", "jwk": key.jwk()}),
        claims: json!({"aud": issuer, "iat": seconds, "nonce": nonce}),
    }
}

/// A wallet's word about its own keys, by the first of them.
pub fn attestation(keys: &[&Key], level: &str, nonce: &str, seconds: i64) -> Draft {
    let attested: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
    Draft {
        header: json!({"typ": "key-attestation+jwt", "alg": "ES256", "jwk": keys[0].jwk()}),
        claims: json!({
            "iat": seconds, "exp": seconds + 600, "nonce": nonce,
            "attested_keys": attested, "key_storage": [level],
        }),
    }
}

pub fn dpop(key: &Key, url: &str, jti: &str, seconds: i64) -> Draft {
    Draft {
        header: json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": key.jwk()}),
        claims: json!({"htm": "POST", "htu": url, "iat": seconds, "jti": jti}),
    }
}

pub fn ath(token: &str) -> Value {
    base64url::encode(&RustCrypto.sha256(token.as_bytes())).into()
}
