//! The requests of a collection, with their proofs.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use credential::crypto::{Algorithm, PublicKey};
use credential::jose::{HeaderParts, jwk, sign};
use serde_json::{Map, Value, json};

use super::{BATCH_MAX, CollectError, Collection, Hands, Stage};
use crate::secure_element::{DeviceKey, PresenceRule};

/// How long a word about keys is good for.
const ATTESTATION_LIFE: Duration = Duration::from_secs(300);

/// An HTTP request to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Where.
    pub url: String,
    /// Header fields.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
}

impl Request {
    pub(super) fn get(url: String) -> Self {
        let headers = vec![("accept", String::from("application/json"))];
        Self { method: "GET", url, headers, body: Vec::new() }
    }

    pub(super) fn post(url: String) -> Self {
        Self { method: "POST", ..Self::get(url) }
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl Collection {
    pub(super) fn token_request(&mut self, hands: &mut Hands<'_>) -> Result<Request, CollectError> {
        let mut form = String::from(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Apre-authorized_code",
        );
        form.push_str("&pre-authorized_code=");
        encode_percent(&self.offer.code, &mut form);
        if let Some(code) = &self.transaction_code {
            form.push_str("&tx_code=");
            encode_percent(code, &mut form);
        }
        let url = self.metadata.token_endpoint.clone();
        let proof = self.dpop_proof(hands, "POST", &url, None)?;
        let mut request = Request::post(url).with("dpop", proof);
        request = request.with("content-type", "application/x-www-form-urlencoded".into());
        request.body = form.into_bytes();
        Ok(request)
    }

    pub(super) fn credential_request(
        &mut self,
        hands: &mut Hands<'_>,
    ) -> Result<Request, CollectError> {
        let count = self.wish.documents.clamp(1, BATCH_MAX).min(self.metadata.batch_size);
        while self.pending_keys.len() < count {
            let key = make_key(hands, self.wish.presence)?;
            self.pending_keys.push(key);
        }
        let attestation = self.attestation(hands)?;
        let mut proofs = Vec::new();
        for key in &self.pending_keys {
            proofs.push(Value::String(self.proof(hands, *key, &attestation)?));
        }
        let id = self.open.last().map(|open| open.id.clone()).unwrap_or_default();
        let body = json!({ "credential_configuration_id": id, "proofs": { "jwt": proofs } });
        let url = self.metadata.credential_endpoint.clone();
        self.authorized(hands, url, &body)
    }

    pub(super) fn notification_request(
        &mut self,
        hands: &mut Hands<'_>,
    ) -> Result<Option<Request>, CollectError> {
        let url = self.metadata.notification_endpoint.clone();
        let (Some(id), Some(url)) = (self.notifications.last(), url) else {
            self.stage = Stage::Done;
            return Ok(None);
        };
        let event = if self.is_kept { "credential_accepted" } else { "credential_failure" };
        let body = json!({ "notification_id": id, "event": event });
        self.authorized(hands, url, &body).map(Some)
    }

    /// A request with the access token and its proof.
    fn authorized(
        &mut self,
        hands: &mut Hands<'_>,
        url: String,
        body: &Value,
    ) -> Result<Request, CollectError> {
        let missing = CollectError::Answer { to: "token", member: "access_token" };
        let (text, is_dpop) =
            self.token.as_ref().map(|t| (t.text.clone(), t.is_dpop)).ok_or(missing)?;
        let mut request = if is_dpop {
            let proof = self.dpop_proof(hands, "POST", &url, Some(&text))?;
            let request = Request::post(url).with("dpop", proof);
            request.with("authorization", alloc::format!("DPoP {text}"))
        } else {
            Request::post(url).with("authorization", alloc::format!("Bearer {text}"))
        };
        request = request.with("content-type", "application/json".into());
        request.body = body.to_string().into_bytes();
        Ok(request)
    }

    /// A DPoP proof (RFC 9449, section 4.2).
    fn dpop_proof(
        &mut self,
        hands: &mut Hands<'_>,
        method: &str,
        url: &str,
        token: Option<&str>,
    ) -> Result<String, CollectError> {
        let key = match self.dpop {
            Some(key) => key,
            None => *self.dpop.insert(make_key(hands, PresenceRule::NotNeeded)?),
        };
        let [jti, _] = halves((hands.entropy)());
        let mut claims = object(json!({
            "jti": Base64UrlUnpadded::encode_string(&jti),
            "htm": method,
            "htu": url,
            "iat": hands.now.unix_seconds(),
        }));
        if let Some(token) = token {
            let hash = hands.crypto.sha256(token.as_bytes());
            claims.insert("ath".into(), Base64UrlUnpadded::encode_string(&hash).into());
        }
        if let Some(nonce) = &self.dpop_nonce {
            claims.insert("nonce".into(), nonce.as_str().into());
        }
        self.signed(hands, key, "dpop+jwt", None, &claims)
    }

    /// A proof of possession of one device key (OpenID4VCI 1.0, appendix F.1).
    fn proof(
        &self,
        hands: &Hands<'_>,
        key: DeviceKey,
        attestation: &str,
    ) -> Result<String, CollectError> {
        let claims = object(json!({
            "aud": self.offer.issuer,
            "iat": hands.now.unix_seconds(),
            "nonce": self.nonce,
        }));
        self.signed(hands, key, "openid4vci-proof+jwt", Some(attestation), &claims)
    }

    /// What the wallet itself says of all keys of this request (OpenID4VCI 1.0, appendix D.1).
    fn attestation(&self, hands: &Hands<'_>) -> Result<String, CollectError> {
        let mut keys = Vec::new();
        for key in &self.pending_keys {
            keys.push(jwk::write(&public_key(hands, *key)?));
        }
        let claims = object(json!({
            "iat": hands.now.unix_seconds(),
            "exp": hands.now.saturating_add(ATTESTATION_LIFE).unix_seconds(),
            "nonce": self.nonce,
            "attested_keys": keys,
            "key_storage": [hands.element.key_storage()],
        }));
        // INVARIANT: a credential request is made for at least one key.
        let first = self.pending_keys.first().copied().unwrap_or(DeviceKey(u32::MAX));
        self.signed(hands, first, "key-attestation+jwt", None, &claims)
    }

    fn signed(
        &self,
        hands: &Hands<'_>,
        key: DeviceKey,
        typ: &str,
        key_attestation: Option<&str>,
        claims: &Map<String, Value>,
    ) -> Result<String, CollectError> {
        let public = public_key(hands, key)?;
        let parts = HeaderParts::new(Algorithm::Es256, typ);
        let unsigned = sign(HeaderParts { jwk: Some(&public), key_attestation, ..parts }, claims);
        let signature = hands
            .element
            .sign(hands.crypto, key, unsigned.to_be_signed(), self.presence())
            .map_err(CollectError::Element)?;
        Ok(unsigned.complete(&signature).to_string())
    }
}

fn make_key(hands: &mut Hands<'_>, rule: PresenceRule) -> Result<DeviceKey, CollectError> {
    let entropy = (hands.entropy)();
    hands.element.generate(hands.crypto, entropy, rule).map_err(CollectError::Element)
}

fn public_key(hands: &Hands<'_>, key: DeviceKey) -> Result<PublicKey, CollectError> {
    hands.element.public_key(key).map_err(CollectError::Element)
}

fn halves(bytes: [u8; 32]) -> [[u8; 16]; 2] {
    let (chunks, _) = bytes.as_chunks::<16>();
    <[[u8; 16]; 2]>::try_from(chunks).unwrap_or_default()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// Everything but unreserved characters (RFC 3986, section 2.3) is escaped.
fn encode_percent(text: &str, form: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            form.push(char::from(byte));
        } else {
            form.push_str(&alloc::format!("%{byte:02X}"));
        }
    }
}
