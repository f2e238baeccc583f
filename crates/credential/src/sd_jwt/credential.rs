//! SD-JWT VC: the claims that a credential in the form of an SD-JWT must and may have
//! (draft-ietf-oauth-sd-jwt-vc, section 3).

use alloc::string::String;

use serde_json::{Map, Value, json};
use vocabulary::time::Instant;

use super::issue::{CompactSdJwt, Decoys, IssueError, IssueRequest, Salt, issue};
use super::process::{Processed, top_pointer};
use crate::crypto::{Crypto, HashAlgorithm, PublicKey};
use crate::jose::{HeaderParts, jwk};
use crate::rejection::Rejection;
use crate::status::StatusReference;
use crate::unsigned::Unsigned;

/// The `typ` of an SD-JWT VC, and its name among the credential formats of OpenID4VCI.
pub const CREDENTIAL_TYP: &str = "dc+sd-jwt";

/// Claims that must be readable by every verifier (section 3.2.2.2).
pub(super) const NEVER_CONCEALED: [&str; 7] =
    ["iss", "nbf", "exp", "cnf", "vct", "vct#integrity", "status"];

/// What an SD-JWT VC is made of.
#[derive(Clone, Debug)]
pub struct CredentialRequest<'a> {
    /// The protected header; its `typ` is [`CREDENTIAL_TYP`] whatever is given.
    pub header: HeaderParts<'a>,
    /// `vct`: the type of the credential.
    pub vct: &'a str,
    /// `iss`: a URI of the issuer; may be left out where a certificate names it.
    pub issuer: Option<&'a str>,
    /// `iat`, in whole seconds.
    pub issued_at: Instant,
    /// `nbf`, in whole seconds.
    pub not_before: Option<Instant>,
    /// `exp`, in whole seconds.
    pub expires_at: Option<Instant>,
    /// `cnf`: the key by which the holder proves possession.
    pub holder_key: Option<&'a PublicKey>,
    /// `status`: where the status is published.
    pub status: Option<StatusReference<'a>>,
    /// The claims about the subject.
    pub claims: Map<String, Value>,
    /// JSON pointers of the claims to conceal; see [`IssueRequest::concealed`].
    pub concealed: &'a [&'a str],
    /// See [`IssueRequest::decoys`].
    pub decoys: &'a [Decoys<'a>],
    /// See [`IssueRequest::hash`].
    pub hash: HashAlgorithm,
    /// See [`IssueRequest::salts`].
    pub salts: &'a [Salt],
}

impl CredentialRequest<'_> {
    /// An SD-JWT VC that waits for the issuer's signature.
    ///
    /// # Errors
    /// [`IssueError`]; [`IssueError::ReservedName`] also for a claim of the subject that has the
    /// name of one of the claims above.
    pub fn issue(self, crypto: &dyn Crypto) -> Result<Unsigned<CompactSdJwt>, IssueError> {
        let mut claims = self.claims;
        let seconds = |at: Instant| Value::from(at.unix_seconds());
        let own = [
            ("vct", Some(self.vct.into())),
            ("iss", self.issuer.map(Value::from)),
            ("iat", Some(seconds(self.issued_at))),
            ("nbf", self.not_before.map(seconds)),
            ("exp", self.expires_at.map(seconds)),
            ("cnf", self.holder_key.map(|key| json!({"jwk": jwk::write(key)}))),
            ("status", self.status.map(|status| status.to_json())),
        ];
        for (name, value) in own {
            if claims.contains_key(name) {
                return Err(IssueError::ReservedName(name.into()));
            }
            if let Some(value) = value {
                claims.insert(name.into(), value);
            }
        }
        for name in NEVER_CONCEALED {
            let pointer = top_pointer(name);
            if self.concealed.iter().any(|concealed| is_within(concealed, &pointer)) {
                return Err(IssueError::NeverConcealed(name.into()));
            }
        }
        let header = HeaderParts { typ: CREDENTIAL_TYP, ..self.header };
        let (concealed, decoys) = (self.concealed, self.decoys);
        let (hash, salts) = (self.hash, self.salts);
        issue(crypto, IssueRequest { header, claims, concealed, decoys, hash, salts })
    }
}

/// Refuses a credential that hides what every verifier must see.
pub(super) fn check_never_concealed(processed: &Processed) -> Result<(), Rejection> {
    for name in NEVER_CONCEALED {
        let pointer = top_pointer(name);
        if processed.disclosed.iter().any(|place| is_within(&place.pointer, &pointer)) {
            let message = alloc::format!("claim `{name}` was selectively disclosable");
            return Err(Rejection::issuer("claim-concealed", message));
        }
    }
    Ok(())
}

/// Whether `pointer` leads to the claim at `claim` or into it.
fn is_within(pointer: &str, claim: &str) -> bool {
    pointer.strip_prefix(claim).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
