//! The key binding JWT, as a verifier checks it (RFC 9901, sections 4.3 and 7.3).

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use vocabulary::time::Instant;

use super::disclosure::{SdJwt, digest};
use crate::crypto::{Crypto, HashAlgorithm, PublicKey};
use crate::jose::{CLOCK_SKEW_MAX, Claims, jwk};
use crate::rejection::Rejection;

/// The `typ` of a key binding JWT.
pub const KEY_BINDING_TYP: &str = "kb+jwt";

/// What a verifier asks the holder to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge<'a> {
    /// Whom the proof is for.
    pub audience: &'a str,
    /// What makes the proof fresh; the verifier's choice.
    pub nonce: &'a str,
    /// When the proof is made; the fraction of a second is dropped.
    pub at: Instant,
}

/// What a verifier demands of key binding. Where a proof is present, its key, `typ`, `iat` and
/// `sd_hash` are always checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyBindingRule<'a> {
    /// Whether a presentation without proof is good enough.
    pub presence: Presence,
    /// The audience that the proof must name, if one is expected.
    pub audience: Option<&'a str>,
    /// The nonce that the proof must hold, if one is expected. Without it a copied presentation
    /// looks like a fresh one for as long as the window is open.
    pub nonce: Option<&'a str>,
    /// How far the moment of the proof may lie from now.
    pub window: Window,
}

/// Whether a proof of possession must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A presentation without one is refused.
    Required,
    /// A presentation without one passes; one with a bad proof is refused all the same.
    Optional,
}

/// How far the `iat` of a proof may lie from the instant of verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Into the past.
    pub age_max: Duration,
    /// Into the future.
    pub skew_max: Duration,
}

impl Default for Window {
    /// Five minutes back, [`CLOCK_SKEW_MAX`] ahead.
    fn default() -> Self {
        Self { age_max: Duration::from_secs(300), skew_max: CLOCK_SKEW_MAX }
    }
}

/// A proof of possession that held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyBinding {
    /// Whom it is for.
    pub audience: String,
    /// The nonce that it answers.
    pub nonce: String,
    /// When it was made.
    pub issued_at: Instant,
}

/// The holder's key that the issuer put into `cnf` (RFC 7800, section 3.2), if there is one.
pub(super) fn holder_key(claims: &Claims) -> Result<Option<PublicKey>, Rejection> {
    let Some(confirmation) = claims.members().get("cnf") else { return Ok(None) };
    let Some(key) = confirmation.get("jwk") else {
        let message = "claim `cnf` names the holder's key by other means than `jwk`";
        return Err(Rejection::issuer("holder-key", message));
    };
    jwk::parse(key).map(Some).map_err(|rejection| {
        Rejection::issuer("holder-key", format!("claim `cnf`: {}", rejection.message))
    })
}

/// Checks the proof of `presentation` against the rule.
pub(super) fn check_key_binding(
    crypto: &dyn Crypto,
    presentation: &SdJwt<'_>,
    holder: (Option<&PublicKey>, HashAlgorithm),
    rule: &KeyBindingRule<'_>,
    at: Instant,
) -> Result<Option<KeyBinding>, Rejection> {
    let Some(proof) = &presentation.key_binding else {
        return match rule.presence {
            Presence::Optional => Ok(None),
            Presence::Required => {
                Err(Rejection::holder("key-binding-missing", "no proof of possession"))
            }
        };
    };
    let (key, hash) = holder;
    let key = key.ok_or_else(|| {
        let message = "a proof of possession, but the credential names no holder key";
        Rejection::holder("holder-key-missing", message)
    })?;
    proof.require_typ(KEY_BINDING_TYP)?;
    proof.verify(crypto, key)?;
    let claims = proof.claims()?;
    let binding = KeyBinding {
        audience: claims.required_text("aud")?.into(),
        nonce: claims.required_text("nonce")?.into(),
        issued_at: claims.required_instant("iat")?,
    };
    if claims.required_text("sd_hash")? != digest(crypto, hash, presentation.bound_text) {
        let message = "the proof of possession was made for another selection of claims";
        return Err(Rejection::holder("sd-hash", message));
    }
    check_expected("aud", &binding.audience, rule.audience)?;
    check_expected("nonce", &binding.nonce, rule.nonce)?;
    check_window(&claims, binding.issued_at, rule.window, at)?;
    Ok(Some(binding))
}

fn check_expected(claim: &str, found: &str, expected: Option<&str>) -> Result<(), Rejection> {
    match expected {
        Some(expected) if expected != found => {
            let code = if claim == "aud" { "audience" } else { "nonce" };
            let message = format!("proof of possession for `{claim}` `{found}`, not `{expected}`");
            Err(Rejection::holder(code, message))
        }
        _ => Ok(()),
    }
}

fn check_window(
    claims: &Claims,
    made: Instant,
    window: Window,
    at: Instant,
) -> Result<(), Rejection> {
    if at.saturating_add(window.skew_max) < made {
        let message = format!("proof of possession is of the future, `{made}`");
        return Err(Rejection::time("key-binding-not-yet-valid", message));
    }
    if made.saturating_add(window.age_max) < at {
        let message = format!("proof of possession is too old, of `{made}`");
        return Err(Rejection::time("key-binding-expired", message));
    }
    // `exp` and `nbf` are rare here, but they bind.
    claims.in_force(at).map(drop)
}
