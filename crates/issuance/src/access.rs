//! The access token at the credential and notification endpoints (RFC 6750, RFC 9449, 7).
//!
//! [`Access`] is the proof that a token was found, is good, and was shown by the holder of its key.
//! From it the server builds the wallet's actor and asks policy for a permit.

use core::fmt;

use credential::crypto::{Crypto, constant_time_eq};
use vocabulary::time::Instant;

use crate::dpop::{BoundRequest, DpopError, DpopProof, verify_dpop};
use crate::once::Once;
use crate::secret::{Digest, SecretUse, digest};
use crate::token::Grant;

/// Bytes in an `Authorization` header.
pub const AUTHORIZATION_BYTES_MAX: usize = 512;

/// An `Authorization` header taken apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Authorization<'a> {
    scheme: Scheme,
    token: &'a str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Bearer,
    Dpop,
}

impl<'a> Authorization<'a> {
    /// Reads the header: `Bearer` or `DPoP`, in any case of letters, and a token.
    ///
    /// # Errors
    /// [`AccessRefusal::Missing`] for anything else.
    pub fn parse(header: &'a str) -> Result<Self, AccessRefusal> {
        let (scheme, token) = header.split_once(' ').ok_or(AccessRefusal::Missing)?;
        let scheme = match () {
            () if scheme.eq_ignore_ascii_case("bearer") => Scheme::Bearer,
            () if scheme.eq_ignore_ascii_case("dpop") => Scheme::Dpop,
            () => return Err(AccessRefusal::Missing),
        };
        if header.len() > AUTHORIZATION_BYTES_MAX || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(AccessRefusal::Missing);
        }
        Ok(Self { scheme, token })
    }

    /// The digest under which the grant is found.
    #[must_use]
    pub fn token_digest(&self) -> Digest {
        digest(SecretUse::AccessToken, self.token)
    }
}

/// A request to an endpoint that takes an access token.
#[derive(Clone, Copy)]
pub struct ProtectedRequest<'a> {
    /// The `Authorization` header.
    pub authorization: Authorization<'a>,
    /// The `DPoP` header, if there is one.
    pub dpop: Option<&'a str>,
    /// The HTTP method.
    pub method: &'a str,
    /// The URL of the endpoint.
    pub url: &'a str,
}

/// The proof that a wallet may use a grant; only [`check_access`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    grant: Grant,
    once: Option<Once>,
}

impl Access {
    /// The grant.
    #[must_use]
    pub const fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The mark of the DPoP proof's use, to be committed with the deed.
    #[must_use]
    pub const fn once(&self) -> Option<&Once> {
        self.once.as_ref()
    }
}

/// Checks an access token; `grant` is what the store found under its digest for this operator.
///
/// # Errors
/// [`AccessRefusal`]
pub fn check_access(
    crypto: &dyn Crypto,
    request: ProtectedRequest<'_>,
    grant: Option<&Grant>,
    now: Instant,
) -> Result<Access, AccessRefusal> {
    let digest = request.authorization.token_digest();
    let grant = grant.filter(|grant| constant_time_eq(&grant.token_digest, &digest));
    let grant = grant.ok_or(AccessRefusal::Token)?;
    if now >= grant.expires_at {
        return Err(AccessRefusal::Expired);
    }
    let once = match (&grant.key_thumbprint, request.authorization.scheme) {
        (None, Scheme::Bearer) => None,
        (None, Scheme::Dpop) | (Some(_), Scheme::Bearer) => return Err(AccessRefusal::Scheme),
        (Some(thumbprint), Scheme::Dpop) => {
            let proof = verify_bound(crypto, &request, now)?;
            if proof.thumbprint() != thumbprint {
                return Err(AccessRefusal::Key);
            }
            Some(proof.once().clone())
        }
    };
    Ok(Access { grant: grant.clone(), once })
}

fn verify_bound(
    crypto: &dyn Crypto,
    request: &ProtectedRequest<'_>,
    now: Instant,
) -> Result<DpopProof, AccessRefusal> {
    let text = request.dpop.ok_or(AccessRefusal::DpopMissing)?;
    let bound = BoundRequest {
        method: request.method,
        url: request.url,
        access_token: Some(request.authorization.token),
    };
    verify_dpop(crypto, text, bound, now).map_err(AccessRefusal::Dpop)
}

/// Why an access token does not open an endpoint. The answer is 401.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessRefusal {
    /// No usable `Authorization` header.
    Missing,
    /// Unknown, or of another operator.
    Token,
    /// Too old.
    Expired,
    /// A bound token shown as bearer, or the other way round.
    Scheme,
    /// No DPoP proof for a bound token.
    DpopMissing,
    /// The DPoP proof does not hold.
    Dpop(DpopError),
    /// The DPoP proof is by another key than the token's.
    Key,
    /// The DPoP proof was used before.
    DpopReplayed,
}

impl AccessRefusal {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "authorization",
            Self::Token => "access-token",
            Self::Expired => "access-token-expired",
            Self::Scheme => "authorization-scheme",
            Self::DpopMissing => "dpop-missing",
            Self::Dpop(_) => "dpop-proof",
            Self::Key => "dpop-key",
            Self::DpopReplayed => "dpop-replayed",
        }
    }

    /// The OAuth error code (RFC 6750, 3.1; RFC 9449, 7.1); none when there was no token at all.
    #[must_use]
    pub const fn oauth_error(&self) -> Option<&'static str> {
        match self {
            Self::Missing => None,
            Self::Token | Self::Expired | Self::Scheme => Some("invalid_token"),
            Self::DpopMissing | Self::Dpop(_) | Self::Key | Self::DpopReplayed => {
                Some("invalid_dpop_proof")
            }
        }
    }

    /// The `WWW-Authenticate` header of the answer.
    #[must_use]
    pub fn challenge(&self) -> String {
        let error =
            self.oauth_error().map(|code| format!(" error=\"{code}\",")).unwrap_or_default();
        format!("DPoP{error} algs=\"ES256\"")
    }
}

impl fmt::Display for AccessRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "an access token is needed",
            Self::Token => "the access token is not valid",
            Self::Expired => "the access token has expired",
            Self::Scheme => "the access token is of another type",
            Self::DpopMissing => "a DPoP proof is needed",
            Self::Dpop(error) => return write!(f, "{error}"),
            Self::Key => "the DPoP proof is by another key than the access token's",
            Self::DpopReplayed => "the DPoP proof was used before",
        })
    }
}

impl core::error::Error for AccessRefusal {}
