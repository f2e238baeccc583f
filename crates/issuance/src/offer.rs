//! Credential offers with a pre-authorized code (OpenID4VCI 1.0, 4.1).
//!
//! The code is a secret of 32 bytes, kept as its digest. An offer by reference carries the code in
//! its URI, as an offer by value carries it in its text: who has the link has the offer, and the
//! city need not keep the code to answer. A transaction code of six digits, told over another
//! channel, is kept as a digest that only the holder of the offer's code could try to guess, and
//! tries at the token endpoint are counted.

use core::fmt;
use core::time::Duration;

use policy::action::Action;
use policy::authorize::{Permit, WrongPermit};
use sha2::{Digest as _, Sha256};
use vocabulary::code::{OperatorCode, ProductCode};
use vocabulary::id::{OfferId, PassId};
use vocabulary::time::Instant;

use crate::change::Change;
use crate::issuer::{Configuration, Endpoint, Issuer};
use crate::names::names;
use crate::pass::{Pass, PassEvent};
use crate::product::{Format, Product, TransactionCode};
use crate::secret::{Digest, Secret, SecretUse, digest};
use crate::wire;

/// The longest life of an offer.
pub const OFFER_LIFETIME_MAX: Duration = Duration::from_secs(7 * 86_400);
/// Wrong transaction codes that end an offer.
pub const OFFER_TRIES_MAX: u8 = 5;
/// Digits in a transaction code.
pub const TRANSACTION_CODE_DIGITS: usize = 6;
/// The scheme that wallets answer to (OpenID4VCI 1.0, 12.1.1).
pub const OFFER_SCHEME: &str = "openid-credential-offer://";

/// An offer to collect a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its identifier.
    pub id: OfferId,
    /// The operator, which is the tenant.
    pub operator: OperatorCode,
    /// The pass on offer.
    pub pass: PassId,
    /// The product of the pass.
    pub product: ProductCode,
    /// The formats on offer.
    pub formats: Vec<Format>,
    /// Digest of the pre-authorized code; unique.
    pub code_digest: Digest,
    /// Digest of the transaction code, if one is asked for.
    pub transaction_code_digest: Option<Digest>,
    /// How many more wrong transaction codes it survives.
    pub tries_left: u8,
    /// What has become of it.
    pub state: OfferState,
    /// From when on it is refused.
    pub expires_at: Instant,
    /// 1 when made, one more with every change.
    pub version: u32,
}

/// What has become of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OfferState {
    /// It waits for its wallet.
    Open,
    /// A wallet has traded its code for an access token.
    Redeemed,
    /// Too many wrong transaction codes.
    Exhausted,
}

names!(OfferState { Open = "open", Redeemed = "redeemed", Exhausted = "exhausted" });

/// The randomness of one offer.
pub struct OfferEntropy {
    /// For its identifier.
    pub id: [u8; 10],
    /// For the pre-authorized code.
    pub code: [u8; 32],
    /// For the transaction code.
    pub transaction_code: [u8; 8],
}

/// A new offer, with what must be told now since nobody can find it out later.
pub struct OfferMade {
    /// The row to commit.
    pub offer: Offer,
    /// The pre-authorized code.
    pub code: Secret,
    /// Six digits, to be told over another channel, if the product asks for them.
    pub transaction_code: Option<String>,
}

impl OfferMade {
    /// What to commit.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        vec![Change::Offer(self.offer.clone())]
    }
}

/// Makes an offer of `pass` in `formats`, from [`crate::paper::formats_of`], good for `lifetime`. The
/// permit is one to issue or to offer a pass.
///
/// # Errors
/// [`OfferRefusal`] when the permit is for something else, the pass is out of force, the product or its
/// version is not the pass's, there is no format or one that is not the product's, or the lifetime is zero or longer than [`OFFER_LIFETIME_MAX`].
pub fn make_offer(
    permit: &Permit,
    pass: &Pass,
    product: &Product,
    formats: Vec<Format>,
    lifetime: Duration,
    now: Instant,
    entropy: &OfferEntropy,
) -> Result<OfferMade, OfferRefusal> {
    permit
        .covers(Action::PassIssue, &pass.operator)
        .or_else(|_| permit.covers(Action::PassOffer, &pass.operator))
        .map_err(OfferRefusal::Permit)?;
    let are_of_product = formats.iter().all(|format| product.terms.formats.contains(format));
    if !pass.is_of(product) || !are_of_product {
        return Err(OfferRefusal::Product);
    }
    if formats.is_empty() {
        return Err(OfferRefusal::Formats);
    }
    if pass.state.after(PassEvent::Collect).is_none() || now >= pass.valid_until {
        return Err(OfferRefusal::PassState);
    }
    if lifetime.is_zero() || lifetime > OFFER_LIFETIME_MAX {
        return Err(OfferRefusal::Lifetime);
    }
    let code = Secret::new(entropy.code);
    let transaction_code = match product.terms.transaction_code {
        TransactionCode::Required => Some(six_digits(entropy.transaction_code)),
        TransactionCode::NotRequired => None,
    };
    let offer = Offer {
        id: OfferId::new(now, entropy.id),
        operator: pass.operator.clone(),
        pass: pass.id,
        product: pass.product.clone(),
        formats,
        code_digest: digest(SecretUse::OfferCode, code.reveal()),
        transaction_code_digest: transaction_code
            .as_deref()
            .map(|digits| transaction_code_digest(code.reveal(), digits)),
        tries_left: OFFER_TRIES_MAX,
        state: OfferState::Open,
        expires_at: now.saturating_add(lifetime).min(pass.valid_until),
        version: 1,
    };
    Ok(OfferMade { offer, code, transaction_code })
}

/// The offer as a link that carries all of it.
#[must_use]
pub fn link_by_value(issuer: &Issuer, offer: &Offer, code: &str) -> String {
    let text = wire::offer::write(issuer, offer, code);
    format!("{OFFER_SCHEME}?credential_offer={}", wire::percent::encode(&text))
}

/// The offer as a link that says where it is; short enough for a QR picture.
#[must_use]
pub fn link_by_reference(issuer: &Issuer, code: &str) -> String {
    let url = format!("{}/{code}", issuer.url(Endpoint::Offers));
    format!("{OFFER_SCHEME}?credential_offer_uri={}", wire::percent::encode(&url))
}

/// The JSON of an offer for a wallet that came with the `code` of a link by reference. `offer` is
/// what the store found under the digest of that code, for this issuer's operator.
///
/// # Errors
/// [`OfferRefusal::Gone`] whatever the reason: unknown, redeemed, exhausted or expired.
pub fn show_offer(
    issuer: &Issuer,
    offer: Option<&Offer>,
    code: &str,
    now: Instant,
) -> Result<String, OfferRefusal> {
    let offer = offer.filter(|offer| {
        offer.operator == *issuer.operator()
            && offer.code_digest == digest(SecretUse::OfferCode, code)
            && offer.state == OfferState::Open
            && now < offer.expires_at
    });
    Ok(wire::offer::write(issuer, offer.ok_or(OfferRefusal::Gone)?, code))
}

/// The digest of a transaction code. It takes the offer's code to guess at it.
pub(crate) fn transaction_code_digest(code: &str, digits: &str) -> Digest {
    let hash = Sha256::new().chain_update(b"limen transaction code\0").chain_update(code);
    hash.chain_update(b"\0").chain_update(digits).finalize().into()
}

/// The configurations on offer, in the order of the product.
pub(crate) fn configurations(offer: &Offer) -> impl Iterator<Item = Configuration> {
    let of = |format: &Format| Configuration { product: offer.product.clone(), format: *format };
    offer.formats.iter().map(of)
}

fn six_digits(entropy: [u8; 8]) -> String {
    // Of 2^64 values, one in 10^13 is favoured: no help to anybody who has five tries.
    format!("{:06}", u64::from_be_bytes(entropy) % 1_000_000)
}

/// Why there is no offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferRefusal {
    /// The permit is for another deed or operator.
    Permit(WrongPermit),
    /// The product, or its version, is not the pass's.
    Product,
    /// The city gives the pass in none of the formats of its product now.
    Formats,
    /// The pass is suspended or has ended.
    PassState,
    /// The lifetime is zero or longer than [`OFFER_LIFETIME_MAX`].
    Lifetime,
    /// There is no such offer, or none any more.
    Gone,
}

impl OfferRefusal {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Permit(_) => "wrong-permit",
            Self::Product => "offer-product",
            Self::Formats => "offer-formats",
            Self::PassState => "pass-state",
            Self::Lifetime => "offer-lifetime",
            Self::Gone => "offer-gone",
        }
    }
}

impl fmt::Display for OfferRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permit(wrong) => return write!(f, "{wrong}"),
            Self::Product => "the product is not that of the pass",
            Self::Formats => {
                "no format of the product can be given now; access documents need a signer by ES256 \
                 and few zones and places"
            }
            Self::PassState => "the pass is suspended or has ended",
            Self::Lifetime => "an offer lives up to seven days",
            Self::Gone => "there is no such offer, or none any more",
        })
    }
}

impl core::error::Error for OfferRefusal {}
