//! A software wallet: keys, proofs, and the steps of OpenID4VCI 1.0 over real HTTP.

use std::sync::atomic::{AtomicU32, Ordering};

use credential::aws_lc::AwsLc;
use credential::crypto::{Crypto, P256Secret, PublicKey, Signature};
use credential::jose::{base64url, jwk};
use serde_json::{Value, json};

use crate::client::{Answer, Client};

/// A key pair whose secret is made of a seed.
#[derive(Clone)]
pub struct Key {
    secret: P256Secret,
    pub public: PublicKey,
}

impl Key {
    pub fn new(seed: u8) -> Self {
        let secret = P256Secret::from_bytes([seed; 32]);
        let public = PublicKey::P256(AwsLc.p256_public(&secret).unwrap());
        Self { secret, public }
    }

    pub fn sign(&self, message: &[u8]) -> Signature {
        AwsLc.p256_sign(&self.secret, message).unwrap()
    }

    fn jws(&self, mut header: Value, claims: &Value) -> String {
        header["alg"] = json!("ES256");
        header["jwk"] = jwk::write(&self.public);
        let [header, claims] =
            [&header, claims].map(|value| base64url::encode(value.to_string().as_bytes()));
        let input = format!("{header}.{claims}");
        format!("{input}.{}", base64url::encode(self.sign(input.as_bytes()).as_bytes()))
    }
}

fn seconds() -> i64 {
    server::world::now().unix_seconds()
}

/// A wallet that has understood an offer.
pub struct Phone {
    http: Client,
    /// The offer as JSON.
    pub offer: Value,
    pub issuer: Value,
    server: Value,
    /// The key of its DPoP proofs.
    pub bound: Key,
}

impl Phone {
    /// Follows a link by reference.
    pub fn follow(http: &Client, link: &str) -> Self {
        let url = link.strip_prefix("openid-credential-offer://?credential_offer_uri=").unwrap();
        let url = issuance::wire::percent::decode_form(url).unwrap();
        let offer = http.get(&url).expect(200);
        let identifier = offer["credential_issuer"].as_str().unwrap();
        let well_known = |name: &str| {
            let (scheme, rest) = identifier.split_once("://").unwrap();
            let (authority, path) = rest.split_once('/').unwrap();
            http.get(&format!("{scheme}://{authority}/.well-known/{name}/{path}")).expect(200)
        };
        let issuer = well_known("openid-credential-issuer");
        let server = well_known("oauth-authorization-server");
        assert_eq!(issuer["credential_issuer"], offer["credential_issuer"]);
        assert_eq!(server["issuer"], offer["credential_issuer"]);
        Self { http: http.clone(), offer, issuer, server, bound: Key::new(7) }
    }

    /// Another wallet that has seen the same offer.
    pub fn follow_again(&self) -> Self {
        Self {
            http: self.http.clone(),
            offer: self.offer.clone(),
            issuer: self.issuer.clone(),
            server: self.server.clone(),
            bound: self.bound.clone(),
        }
    }

    pub fn code(&self) -> &str {
        let grant = &self.offer["grants"]["urn:ietf:params:oauth:grant-type:pre-authorized_code"];
        grant["pre-authorized_code"].as_str().unwrap()
    }

    pub fn dpop(&self, url: &str, token: Option<&str>) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let jti = format!("jti-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut claims = json!({"htm": "POST", "htu": url, "iat": seconds(), "jti": jti});
        if let Some(token) = token {
            claims["ath"] = base64url::encode(&AwsLc.sha256(token.as_bytes())).into();
        }
        self.bound.jws(json!({"typ": "dpop+jwt"}), &claims)
    }

    /// Asks for an access token, bound to the wallet's key when `bound`.
    pub fn token(&self, transaction_code: Option<&str>, bound: bool) -> Answer {
        let url = self.server["token_endpoint"].as_str().unwrap();
        let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Apre-authorized_code";
        let digits = transaction_code.map(|digits| format!("&tx_code={digits}"));
        let form = format!(
            "grant_type={grant}&pre-authorized_code={}{}",
            self.code(),
            digits.unwrap_or_default()
        );
        let proof = self.dpop(url, None);
        let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
        if bound {
            headers.push(("dpop", &proof));
        }
        self.http.send("POST", url, &headers, Some(form.as_bytes()))
    }

    pub fn nonce(&self) -> String {
        let url = self.issuer["nonce_endpoint"].as_str().unwrap();
        let answer = self.http.send("POST", url, &[], None);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        answer.text("c_nonce")
    }

    /// A credential request for `keys`.
    pub fn request(&self, format: &str, keys: &[&Key], nonce: &str, attested: bool) -> Value {
        let at = seconds();
        let attestation = keys[0].jws(
            json!({"typ": "key-attestation+jwt"}),
            &json!({
                "iat": at, "exp": at + 600, "nonce": nonce,
                "attested_keys": keys.iter().map(|key| jwk::write(&key.public)).collect::<Vec<_>>(),
                "key_storage": ["urn:limen:key-storage:software"],
            }),
        );
        let issuer = &self.offer["credential_issuer"];
        let proof = |key: &&Key| {
            let mut header = json!({"typ": "openid4vci-proof+jwt"});
            if attested {
                header["key_attestation"] = attestation.clone().into();
            }
            key.jws(header, &json!({"aud": issuer, "iat": at, "nonce": nonce}))
        };
        let proofs: Vec<String> = keys.iter().map(proof).collect();
        let ids = self.offer["credential_configuration_ids"].as_array().unwrap();
        let id = ids.iter().find(|id| id.as_str().unwrap().ends_with(format)).unwrap();
        json!({"credential_configuration_id": id, "proofs": {"jwt": proofs}})
    }

    /// Posts to a protected endpoint with the token in its scheme.
    pub fn protected(&self, endpoint: &str, token: &Answer, body: &Value) -> Answer {
        let url = self.issuer[endpoint].as_str().unwrap();
        let (text, scheme) = (token.text("access_token"), token.text("token_type"));
        let authorization = format!("{scheme} {text}");
        let proof = self.dpop(url, Some(&text));
        let mut headers =
            vec![("content-type", "application/json"), ("authorization", &authorization)];
        if scheme == "DPoP" {
            headers.push(("dpop", &proof));
        }
        self.http.send("POST", url, &headers, Some(body.to_string().as_bytes()))
    }

    /// Collects documents for `keys`.
    pub fn collect(&self, token: &Answer, format: &str, keys: &[&Key], attested: bool) -> Answer {
        let request = self.request(format, keys, &self.nonce(), attested);
        self.protected("credential_endpoint", token, &request)
    }
}

/// The documents in an answer.
pub fn documents(answer: &Answer) -> Vec<String> {
    let answer = answer.expect(200);
    let credentials = answer["credentials"].as_array().unwrap();
    credentials.iter().map(|it| it["credential"].as_str().unwrap().to_owned()).collect()
}
