//! The token endpoint: a pre-authorized code becomes an access token (OpenID4VCI 1.0, 6).
//!
//! The access token is a random secret, kept as its digest, short-lived, and bound to the DPoP key
//! that asked for it (RFC 9449) whenever there was one. A code is good once. A wrong transaction
//! code costs a try even though the request is refused: the refusal carries the change.

use core::fmt;
use core::time::Duration;

use credential::crypto::constant_time_eq;
use vocabulary::code::OperatorCode;
use vocabulary::id::{OfferId, PassId};
use vocabulary::time::Instant;

use crate::change::Change;
use crate::dpop::{DpopError, DpopProof};
use crate::offer::{Offer, OfferState, transaction_code_digest};
use crate::pass::{Pass, PassEvent};
use crate::product::{Format, Product, Stake};
use crate::secret::{Digest, Secret, SecretUse, digest};

/// How long an access token is good.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(600);

/// What an access token allows: to collect documents of one pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Digest of the access token.
    pub token_digest: Digest,
    /// The operator, which is the tenant.
    pub operator: OperatorCode,
    /// The offer that was redeemed.
    pub offer: OfferId,
    /// The pass whose documents may be collected.
    pub pass: PassId,
    /// How many documents of each format may still be collected.
    pub remaining: Vec<Remaining>,
    /// RFC 7638 thumbprint of the DPoP key; a bearer token when absent.
    pub key_thumbprint: Option<Digest>,
    /// From when on the token is refused.
    pub expires_at: Instant,
    /// 1 when granted, one more with every change.
    pub version: u32,
}

/// How many documents of a format may still be collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// The format.
    pub format: Format,
    /// The number.
    pub documents: u16,
}

/// A token request of the pre-authorized code grant, as `wire::token` reads it.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// The pre-authorized code.
    pub code: String,
    /// The transaction code, if one was sent.
    pub transaction_code: Option<String>,
}

impl TokenRequest {
    /// The digest under which the offer is found.
    #[must_use]
    pub fn code_digest(&self) -> Digest {
        digest(SecretUse::OfferCode, &self.code)
    }
}

/// What the store found for a token request; everything is of the issuer's operator.
#[derive(Clone, Copy, Debug)]
pub struct OfferedPass<'a> {
    /// The offer under the digest of the code.
    pub offer: &'a Offer,
    /// The pass that it offers.
    pub pass: &'a Pass,
    /// The version of the product that the pass names.
    pub product: &'a Product,
}

/// An access token on its way out.
pub struct Redeemed {
    /// What to commit.
    pub changes: Vec<Change>,
    /// What the token allows.
    pub grant: Grant,
    /// The access token.
    pub token: Secret,
}

/// Trades a pre-authorized code for an access token.
///
/// # Errors
/// [`TokenRefused`], whose changes must be committed before the answer leaves.
pub fn redeem_offer(
    request: &TokenRequest,
    found: Option<OfferedPass<'_>>,
    dpop: Option<&DpopProof>,
    now: Instant,
    entropy: [u8; 32],
) -> Result<Redeemed, TokenRefused> {
    let refuse = |refusal| TokenRefused { refusal, changes: Vec::new() };
    let OfferedPass { offer, pass, product } = found.ok_or(refuse(TokenRefusal::Code))?;
    check_offer(request, offer, pass, now).map_err(refuse)?;
    if pass.operator != offer.operator || pass.product != offer.product || !pass.is_of(product) {
        return Err(refuse(TokenRefusal::State));
    }
    if product.terms.stake == Stake::High && dpop.is_none() {
        return Err(refuse(TokenRefusal::DpopMissing));
    }
    check_transaction_code(request, offer).map_err(|refusal| TokenRefused {
        refusal,
        changes: match refusal {
            TokenRefusal::TransactionCode => after_wrong_try(offer, dpop),
            _ => Vec::new(),
        },
    })?;

    let token = Secret::new(entropy);
    let documents = product.terms.batch_max;
    let grant = Grant {
        token_digest: digest(SecretUse::AccessToken, token.reveal()),
        operator: offer.operator.clone(),
        offer: offer.id,
        pass: offer.pass,
        remaining: offer.formats.iter().map(|&format| Remaining { format, documents }).collect(),
        key_thumbprint: dpop.map(|proof| *proof.thumbprint()),
        expires_at: now.saturating_add(TOKEN_LIFETIME),
        version: 1,
    };
    let mut changes = vec![
        Change::Offer(after(offer, OfferState::Redeemed, offer.tries_left)),
        Change::Grant(grant.clone()),
    ];
    changes.extend(dpop.map(|proof| Change::Once(proof.once().clone())));
    Ok(Redeemed { changes, grant, token })
}

fn check_offer(
    request: &TokenRequest,
    offer: &Offer,
    pass: &Pass,
    now: Instant,
) -> Result<(), TokenRefusal> {
    let is_the_one = offer.code_digest == request.code_digest() && pass.id == offer.pass;
    if !is_the_one || offer.state != OfferState::Open {
        return Err(TokenRefusal::Code);
    }
    if now >= offer.expires_at {
        return Err(TokenRefusal::Expired);
    }
    if pass.state.after(PassEvent::Collect).is_none() || now >= pass.valid_until {
        return Err(TokenRefusal::PassState);
    }
    Ok(())
}

fn check_transaction_code(request: &TokenRequest, offer: &Offer) -> Result<(), TokenRefusal> {
    match (&offer.transaction_code_digest, request.transaction_code.as_deref()) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(TokenRefusal::TransactionCodeUnasked),
        (Some(_), None) => Err(TokenRefusal::TransactionCodeMissing),
        (Some(expected), Some(digits)) => {
            let given = transaction_code_digest(&request.code, digits);
            let same = constant_time_eq(expected, &given);
            if same { Ok(()) } else { Err(TokenRefusal::TransactionCode) }
        }
    }
}

fn after_wrong_try(offer: &Offer, dpop: Option<&DpopProof>) -> Vec<Change> {
    let tries_left = offer.tries_left.saturating_sub(1);
    let state = if tries_left == 0 { OfferState::Exhausted } else { OfferState::Open };
    let mut changes = vec![Change::Offer(after(offer, state, tries_left))];
    changes.extend(dpop.map(|proof| Change::Once(proof.once().clone())));
    changes
}

fn after(offer: &Offer, state: OfferState, tries_left: u8) -> Offer {
    Offer { state, tries_left, version: offer.version.saturating_add(1), ..offer.clone() }
}

/// A refused token request and what it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRefused {
    /// Why.
    pub refusal: TokenRefusal,
    /// What to commit before answering: a try that is spent.
    pub changes: Vec<Change>,
}

/// Why there is no access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRefusal {
    /// The form is malformed, too long, or has a field that is unknown or stands twice.
    Form,
    /// Another grant type than the pre-authorized code.
    GrantType,
    /// The code is unknown or used; which of them is not said.
    Code,
    /// The offer has expired.
    Expired,
    /// The pass is suspended or has ended.
    PassState,
    /// A transaction code is asked for and missing.
    TransactionCodeMissing,
    /// A transaction code was sent that nobody asked for.
    TransactionCodeUnasked,
    /// The transaction code is wrong; a try is spent.
    TransactionCode,
    /// The product demands a DPoP proof.
    DpopMissing,
    /// The DPoP proof does not hold.
    Dpop,
    /// The DPoP proof was used before.
    DpopReplayed,
    /// The caller loaded what does not belong together.
    State,
}

impl From<DpopError> for TokenRefusal {
    fn from(_: DpopError) -> Self {
        Self::Dpop
    }
}

impl TokenRefusal {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Form => "token-request",
            Self::GrantType => "grant-type",
            Self::Code => "offer-code",
            Self::Expired => "offer-expired",
            Self::PassState => "pass-state",
            Self::TransactionCodeMissing => "transaction-code-missing",
            Self::TransactionCodeUnasked => "transaction-code-unasked",
            Self::TransactionCode => "transaction-code",
            Self::DpopMissing => "dpop-missing",
            Self::Dpop => "dpop-proof",
            Self::DpopReplayed => "dpop-replayed",
            Self::State => "token-state",
        }
    }

    /// The OAuth error code that the wallet sees (RFC 6749, 5.2; RFC 9449, 5; OpenID4VCI 1.0, 6.3).
    /// `server_error` is a fault of the caller, to be answered as such.
    #[must_use]
    pub const fn oauth_error(self) -> &'static str {
        match self {
            Self::Form | Self::TransactionCodeMissing | Self::TransactionCodeUnasked => {
                "invalid_request"
            }
            Self::GrantType => "unsupported_grant_type",
            Self::Code | Self::Expired | Self::PassState | Self::TransactionCode => "invalid_grant",
            Self::DpopMissing | Self::Dpop | Self::DpopReplayed => "invalid_dpop_proof",
            Self::State => "server_error",
        }
    }
}

impl fmt::Display for TokenRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "the token request is malformed",
            Self::GrantType => "the grant type is not supported",
            Self::Code => "the pre-authorized code is not valid",
            Self::Expired => "the offer has expired",
            Self::PassState => "the pass is suspended or has ended",
            Self::TransactionCodeMissing => "a transaction code is needed",
            Self::TransactionCodeUnasked => "no transaction code is expected",
            Self::TransactionCode => "the transaction code is wrong",
            Self::DpopMissing => "a DPoP proof is needed",
            Self::Dpop => "the DPoP proof does not hold",
            Self::DpopReplayed => "the DPoP proof was used before",
            Self::State => "the loaded state does not belong together",
        })
    }
}

impl core::error::Error for TokenRefusal {}
