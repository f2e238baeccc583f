//! The Status List Token as JWT (section 5.1).

use serde_json::{Map, Value, json};

use super::JWT_TYP;
use super::token::{Expectation, Read, StatusListClaims, VerifiedStatusList, refuse};
use crate::crypto::Crypto;
use crate::jose::{
    CompactJws, HeaderParts, Jws, Strength, base64url, borrow_chain, sign, trusted_key,
};
use crate::rejection::{Culprit, Rejection};
use crate::unsigned::Unsigned;
use crate::x509::{Judgement, Profile};

impl StatusListClaims {
    /// The token as JWT, waiting for its signature. The `typ` of `header` is set here.
    #[must_use]
    pub fn jwt(&self, header: HeaderParts<'_>) -> Unsigned<CompactJws> {
        let lst = base64url::encode(&self.list.deflate());
        let mut claims = Map::new();
        claims.insert("sub".into(), self.uri.as_str().into());
        claims.insert("iat".into(), self.issued_at.unix_seconds().into());
        claims.insert("status_list".into(), json!({"bits": self.list.bits().count(), "lst": lst}));
        if let Some(end) = self.expires_at {
            claims.insert("exp".into(), end.unix_seconds().into());
        }
        if let Some(ttl) = self.ttl {
            claims.insert("ttl".into(), ttl.as_secs().into());
        }
        sign(HeaderParts { typ: JWT_TYP, ..header }, &claims)
    }
}

impl VerifiedStatusList {
    /// Verifies a token as JWT: signature and trust, `typ`, name, dates, and the list itself.
    ///
    /// # Errors
    /// [`Rejection`] for the first rule that does not hold.
    pub fn verify_jwt(
        crypto: &dyn Crypto,
        text: &str,
        expectation: &Expectation<'_>,
    ) -> Result<Self, Rejection> {
        let jws = Jws::parse(text, Culprit::Issuer)?;
        let Expectation { anchors, at, .. } = *expectation;
        let judgement = Judgement { crypto, anchors, at, profile: Profile::Leaf };
        let chain = borrow_chain(&jws.header.x5c);
        trusted_key(&judgement, &chain, Strength::OfAnchor, &|key| jws.verify(crypto, key))?;
        jws.require_typ(JWT_TYP)?;
        let claims = jws.claims()?;
        let list = claims.members().get("status_list");
        let member = |name| list.and_then(|list| list.get(name));
        let compressed = match member("lst").map(Value::as_str) {
            None => None,
            Some(text) => {
                let bytes = text.and_then(base64url::decode);
                Some(bytes.ok_or_else(|| refuse("has an `lst` that is not base64url"))?)
            }
        };
        Read {
            uri: claims.text("sub")?,
            issued_at: claims.instant("iat")?,
            not_before: claims.instant("nbf")?,
            expires_at: claims.instant("exp")?,
            ttl: claims.unsigned("ttl")?,
            bits: member("bits").and_then(Value::as_u64),
            compressed,
        }
        .judge(expectation)
    }
}
