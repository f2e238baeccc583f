//! DPoP proofs: a request is bound to a key of the wallet (RFC 9449).
//!
//! Every proof is good once: its `jti` becomes a mark that the caller commits with the deed.

use core::fmt;
use core::time::Duration;

use credential::crypto::{Algorithm, Crypto};
use credential::jose::{Jws, base64url, jwk};
use credential::rejection::{Culprit, Rejection};
use vocabulary::time::Instant;

use crate::once::{Once, OnceScope};
use crate::secret::Digest;

/// How far the date of a proof may lie from now, both ways.
pub const DPOP_WINDOW: Duration = Duration::from_secs(300);
/// Bytes in a `jti`.
pub const JTI_BYTES_MAX: usize = 256;
/// The algorithms in which a proof may be signed.
pub const DPOP_ALGORITHMS: [Algorithm; 1] = [Algorithm::Es256];

/// The request to which a proof must be bound.
#[derive(Clone, Copy, Debug)]
pub struct BoundRequest<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// The URL as the wallet knows it; query and fragment do not count.
    pub url: &'a str,
    /// The access token in the request, at endpoints that take one.
    pub access_token: Option<&'a str>,
}

/// A proof that was verified; only [`verify_dpop`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DpopProof {
    thumbprint: Digest,
    once: Once,
}

impl DpopProof {
    /// The RFC 7638 thumbprint of the wallet's key.
    #[must_use]
    pub const fn thumbprint(&self) -> &Digest {
        &self.thumbprint
    }

    /// The mark of its use, to be committed with the deed.
    #[must_use]
    pub const fn once(&self) -> &Once {
        &self.once
    }
}

/// Verifies the text of a `DPoP` header (RFC 9449, 4.3).
///
/// # Errors
/// [`DpopError`]
pub fn verify_dpop(
    crypto: &dyn Crypto,
    text: &str,
    request: BoundRequest<'_>,
    now: Instant,
) -> Result<DpopProof, DpopError> {
    let jws = Jws::parse(text, Culprit::Holder).map_err(DpopError::Proof)?;
    jws.require_typ("dpop+jwt").map_err(DpopError::Proof)?;
    if !DPOP_ALGORITHMS.contains(&jws.header.algorithm) {
        return Err(DpopError::Algorithm);
    }
    let key = jws.header.jwk.clone().ok_or(DpopError::Key)?;
    if has_private_part(&jws) {
        return Err(DpopError::Key);
    }
    jws.verify(crypto, &key).map_err(DpopError::Proof)?;
    let claims = jws.claims().map_err(DpopError::Proof)?;
    let text = |name| claims.required_text(name).map_err(DpopError::Proof);
    if text("htm")? != request.method {
        return Err(DpopError::Method);
    }
    if comparable(text("htu")?) != comparable(request.url) {
        return Err(DpopError::Url);
    }
    let made_at = claims.required_instant("iat").map_err(DpopError::Proof)?;
    if made_at.duration_since(now) > DPOP_WINDOW || now.duration_since(made_at) > DPOP_WINDOW {
        return Err(DpopError::Date);
    }
    if let Some(token) = request.access_token {
        let expected = base64url::encode(&crypto.sha256(token.as_bytes()));
        if text("ath")? != expected {
            return Err(DpopError::Token);
        }
    }
    let jti = text("jti")?;
    if jti.is_empty() || jti.len() > JTI_BYTES_MAX {
        return Err(DpopError::Identifier);
    }
    let thumbprint = jwk::thumbprint(crypto, &key);
    let digest = crypto.sha256(&[&thumbprint, jti.as_bytes()].concat());
    // A proof from the future lives longer: until the window around its own date has passed.
    let expires_at = made_at.saturating_add(DPOP_WINDOW + Duration::from_secs(1));
    Ok(DpopProof { thumbprint, once: Once { scope: OnceScope::DpopProof, digest, expires_at } })
}

/// Why a DPoP proof is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DpopError {
    /// It is no JWT of type `dpop+jwt`, its signature is wrong, or a claim is missing.
    Proof(Rejection),
    /// It is signed in an algorithm that is not in [`DPOP_ALGORITHMS`].
    Algorithm,
    /// It carries no key, or a private one.
    Key,
    /// `htm` names another method.
    Method,
    /// `htu` names another URL.
    Url,
    /// `iat` lies outside [`DPOP_WINDOW`].
    Date,
    /// `ath` is not the digest of the access token.
    Token,
    /// `jti` is empty or longer than [`JTI_BYTES_MAX`].
    Identifier,
}

impl fmt::Display for DpopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proof(rejection) => return write!(f, "DPoP proof: {}", rejection.message),
            Self::Algorithm => "DPoP proof is not signed in ES256",
            Self::Key => "DPoP proof does not carry a public key",
            Self::Method => "DPoP proof is for another method",
            Self::Url => "DPoP proof is for another URL",
            Self::Date => "DPoP proof is too old or from the future",
            Self::Token => "DPoP proof is for another access token",
            Self::Identifier => "DPoP proof has no usable `jti`",
        })
    }
}

impl core::error::Error for DpopError {}

fn has_private_part(jws: &Jws<'_>) -> bool {
    jws.header.members.get("jwk").is_some_and(|jwk| jwk.get("d").is_some())
}

/// A URL without query and fragment, scheme and host in lower case, default port left out
/// (RFC 9449, 4.3; RFC 3986, 6.2.2 and 6.2.3).
fn comparable(url: &str) -> Option<String> {
    let url = url.split(['?', '#']).next()?;
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (scheme, authority) = (scheme.to_ascii_lowercase(), authority.to_ascii_lowercase());
    let port = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let host = authority.strip_suffix(port).unwrap_or(&authority);
    Some(format!("{scheme}://{host}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_compare_without_query_case_of_host_and_default_port() {
        let check = |left: &str, right: &str, same: bool| {
            assert_eq!(comparable(left) == comparable(right), same, "{left} {right}");
        };
        check("https://city.example/token", "https://City.Example:443/token?a#b", true);
        check("http://127.0.0.1:8080/token", "http://127.0.0.1:8080/token", true);
        check("https://city.example", "https://city.example/", true);
        check("https://city.example/token", "https://city.example/Token", false);
        check("https://city.example/token", "http://city.example/token", false);
        check("https://city.example/token", "https://city.example:8443/token", false);
    }
}
