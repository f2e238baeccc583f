//! Verification of an SD-JWT, from the text to claims that can be trusted (RFC 9901, section 7.3).

use alloc::format;
use alloc::string::String;

use serde_json::{Map, Value};
use vocabulary::time::Instant;

use super::binding::{KEY_BINDING_TYP, KeyBinding, KeyBindingRule, check_key_binding, holder_key};
use super::credential::{CREDENTIAL_TYP, check_never_concealed};
use super::disclosure::SdJwt;
use crate::crypto::{Crypto, PublicKey};
use crate::jose::{Claims, Strength, Validity, borrow_chain, trusted_key};
use crate::rejection::{Culprit, Rejection};
use crate::status::StatusReference;
use crate::x509::{self, Judgement, TrustAnchors};

/// What a verifier expects.
#[derive(Clone, Copy, Debug)]
pub struct Expectation<'a> {
    /// Whom the verifier trusts: authorities or pinned signers for `x5c`, or bare keys.
    pub anchors: &'a TrustAnchors,
    /// The instant of the judgement.
    pub at: Instant,
    /// Which rules apply beyond RFC 9901.
    pub profile: Profile<'a>,
    /// What is demanded of the holder.
    pub key_binding: KeyBindingRule<'a>,
}

/// Which rules apply beyond RFC 9901.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile<'a> {
    /// None: any SD-JWT.
    SdJwt,
    /// Those of SD-JWT VC: `typ`, `vct`, and claims that are never concealed.
    Credential {
        /// The only type that is accepted, if there is one.
        vct: Option<&'a str>,
    },
}

/// An SD-JWT for which every check held. Made by [`verify`] only.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    claims: Claims,
    vct: Option<String>,
    validity: Validity,
    issuer_key: PublicKey,
    holder_key: Option<PublicKey>,
    key_binding: Option<KeyBinding>,
}

impl Verified {
    /// The claims with all that is disclosed in place, and without digests.
    #[must_use]
    pub fn claims(&self) -> &Map<String, Value> {
        self.claims.members()
    }

    /// The type of the credential; there always is one under [`Profile::Credential`].
    #[must_use]
    pub fn vct(&self) -> Option<&str> {
        self.vct.as_deref()
    }

    /// When it was issued and how long it is valid.
    #[must_use]
    pub const fn validity(&self) -> Validity {
        self.validity
    }

    /// The key by which the issuer signed.
    #[must_use]
    pub const fn issuer_key(&self) -> &PublicKey {
        &self.issuer_key
    }

    /// The key of the holder, whether or not its possession was proven.
    #[must_use]
    pub const fn holder_key(&self) -> Option<&PublicKey> {
        self.holder_key.as_ref()
    }

    /// The holder's proof of possession; nothing if none was shown.
    #[must_use]
    pub const fn key_binding(&self) -> Option<&KeyBinding> {
        self.key_binding.as_ref()
    }

    /// Where the status is published. It was not looked up here.
    #[must_use]
    pub fn status(&self) -> Option<StatusReference<'_>> {
        // INVARIANT: `verify` refused a status that cannot be read.
        self.claims.members().get("status").and_then(|s| StatusReference::from_json(s).ok())
    }
}

/// Verifies a compact SD-JWT, with or without key binding.
///
/// In this order: form, the issuer's signature and trust, digests and disclosures, the profile,
/// dates, the holder's proof.
///
/// # Errors
/// [`Rejection`] for the first rule that does not hold.
pub fn verify(
    crypto: &dyn Crypto,
    text: &str,
    expectation: &Expectation<'_>,
) -> Result<Verified, Rejection> {
    let sd_jwt = SdJwt::parse(text)?;
    let judgement = Judgement {
        crypto,
        anchors: expectation.anchors,
        at: expectation.at,
        profile: x509::Profile::Leaf,
    };
    let chain = borrow_chain(&sd_jwt.jws.header.x5c);
    let verify = |key: &PublicKey| sd_jwt.jws.verify(crypto, key);
    let issuer_key = trusted_key(&judgement, &chain, Strength::Any, &verify)?;
    check_typ(&sd_jwt, expectation.profile)?;
    let processed = sd_jwt.process(crypto)?;
    if let Profile::Credential { .. } = expectation.profile {
        check_never_concealed(&processed)?;
    }
    let claims = Claims::new(processed.claims, Culprit::Issuer);
    let vct = check_vct(&claims, expectation.profile)?;
    let validity = claims.validity(expectation.at)?;
    let holder_key = holder_key(&claims)?;
    let holder = (holder_key.as_ref(), processed.hash);
    let rule = &expectation.key_binding;
    let key_binding = check_key_binding(crypto, &sd_jwt, holder, rule, expectation.at)?;
    claims.members().get("status").map(StatusReference::from_json).transpose()?;
    Ok(Verified { vct, validity, issuer_key, holder_key, key_binding, claims })
}

fn check_typ(sd_jwt: &SdJwt<'_>, profile: Profile<'_>) -> Result<(), Rejection> {
    match profile {
        Profile::Credential { .. } => sd_jwt.jws.require_typ(CREDENTIAL_TYP),
        // A proof of possession signed by a trusted key must not pass for a credential.
        Profile::SdJwt if sd_jwt.jws.require_typ(KEY_BINDING_TYP).is_ok() => {
            Err(Rejection::issuer("typ", "header `typ` is that of a proof of possession"))
        }
        Profile::SdJwt => Ok(()),
    }
}

fn check_vct(claims: &Claims, profile: Profile<'_>) -> Result<Option<String>, Rejection> {
    let Profile::Credential { vct: expected } = profile else {
        return Ok(claims.text("vct")?.map(String::from));
    };
    let vct = claims.required_text("vct")?;
    if expected.is_some_and(|expected| expected != vct) {
        let message = format!("credential of the type `{vct}`, which is not the one expected");
        return Err(Rejection::issuer("vct", message));
    }
    Ok(Some(vct.into()))
}
