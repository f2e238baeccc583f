//! Staff tokens: a bearer secret per person of the staff or per service, with roles and an end.
//!
//! The text is `limen_`, 26 characters of identifier, `_`, 64 hexadecimal digits of secret: the
//! fixed beginning lets secret scanners find a leaked one. What is stored is a SHA-256 hash over
//! identifier and secret; a plain hash suffices because the secret is 256 bits of entropy and not
//! a word that somebody chose. Comparing takes the same time whatever is presented.

use core::time::Duration;
use std::fmt;

use policy::action::Action;
use policy::actor::{Actor, Object};
use policy::authorize::{Permit, WrongPermit};
use policy::role::Roles;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use vocabulary::code::OperatorCode;
use vocabulary::id::TokenId;
use vocabulary::text::Line;
use vocabulary::time::Instant;
use zeroize::Zeroize;

use crate::change::Change;
use crate::refusal::Refusal;

/// Bytes in the label of a token.
pub const LABEL_BYTES_MAX: usize = 64;
/// The longest life of a token.
pub const LIFE_MAX: Duration = Duration::from_secs(400 * 86_400);
/// Tokens in force per operator.
pub const TOKENS_MAX: usize = 1_000;
/// Bytes of a token's secret.
pub const SECRET_BYTES: usize = 32;
/// Bytes of a token's text.
pub const TEXT_BYTES: usize = TEXT_PREFIX.len() + 26 + 1 + 2 * SECRET_BYTES;

const TEXT_PREFIX: &str = "limen_";
const HASH_DOMAIN: &[u8] = b"limen staff token 1\0";

/// A token as it is stored: without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaffToken {
    /// The key; it also stands in the text and in the audit log.
    pub id: TokenId,
    /// The operator within which it has force.
    pub operator: OperatorCode,
    /// What it is for, in the words of who made it.
    pub label: Line<LABEL_BYTES_MAX>,
    /// What it may do; roles of the staff only.
    pub roles: Roles,
    /// Hash over identifier and secret.
    pub hash: TokenHash,
    /// When it was made.
    pub created_at: Instant,
    /// From this instant on it has no force.
    pub expires_at: Instant,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Instant>,
    /// Counts the writes, from 1.
    pub version: u32,
}

impl StaffToken {
    /// Whether the token has force at `now`.
    #[must_use]
    pub fn is_in_force(&self, now: Instant) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

/// The stored form of a secret: 32 bytes, compared in constant time.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// From the bytes in the store.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes for the store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn of(token: &PresentedToken) -> Self {
        let mut hash = Sha256::new();
        hash.update(HASH_DOMAIN);
        hash.update(token.id.as_bytes());
        hash.update(token.secret);
        Self(hash.finalize().into())
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenHash {}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// A token as its bearer holds it: with the secret, which is wiped when this goes out of scope.
#[derive(Clone)]
pub struct PresentedToken {
    id: TokenId,
    secret: [u8; SECRET_BYTES],
}

impl PresentedToken {
    /// Reads the text of a token.
    ///
    /// # Errors
    /// [`TokenError::Form`]; it never repeats the text.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        if text.len() != TEXT_BYTES {
            return Err(TokenError::Form);
        }
        let rest = text.strip_prefix(TEXT_PREFIX).ok_or(TokenError::Form)?;
        let (id, secret) = rest.split_once('_').ok_or(TokenError::Form)?;
        let id = format!("{}_{id}", TokenId::PREFIX).parse().map_err(|_| TokenError::Form)?;
        let mut token = Self { id, secret: [0; SECRET_BYTES] };
        let (digits, []) = secret.as_bytes().as_chunks::<2>() else { return Err(TokenError::Form) };
        if digits.len() != SECRET_BYTES {
            return Err(TokenError::Form);
        }
        for (byte, [high, low]) in token.secret.iter_mut().zip(digits) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Ok(token)
    }

    /// The identifier, by which the stored token is found.
    #[must_use]
    pub const fn id(&self) -> TokenId {
        self.id
    }

    /// The text that its bearer keeps. It is shown once, when the token is made.
    #[must_use]
    pub fn danger_text(&self) -> String {
        let id = self.id.to_string();
        let id = id.strip_prefix(TokenId::PREFIX).unwrap_or_default();
        let mut text = format!("{}{}_", TEXT_PREFIX, id.trim_start_matches('_'));
        for byte in self.secret {
            text.extend(
                [byte >> 4, byte & 15].into_iter().filter_map(|n| char::from_digit(n.into(), 16)),
            );
        }
        text
    }
}

impl Drop for PresentedToken {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl fmt::Debug for PresentedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PresentedToken({})", self.id)
    }
}

/// Why a bearer is not let in. Outside they all look alike; inside, the log tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// The text does not have the form of a token.
    Form,
    /// No such token, or the secret is wrong.
    Unknown,
    /// The token has come to its end.
    Expired,
    /// The token was revoked.
    Revoked,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "text does not have the form of a token",
            Self::Unknown => "no such token",
            Self::Expired => "token has expired",
            Self::Revoked => "token was revoked",
        })
    }
}

impl std::error::Error for TokenError {}

/// Who bears `presented`, by what is `stored` under its identifier.
///
/// An unknown identifier costs the same hash and comparison as a known one.
///
/// # Errors
/// [`TokenError`]; the secret is judged first, so that nobody without it learns of end or revocation.
pub fn authenticate(
    stored: Option<&StaffToken>,
    presented: &PresentedToken,
    now: Instant,
) -> Result<Actor, TokenError> {
    let hash = TokenHash::of(presented);
    let expected = stored.map_or(TokenHash([0; 32]), |token| token.hash);
    let is_equal = hash == expected;
    let token = stored.filter(|token| token.id == presented.id && is_equal);
    let token = token.ok_or(TokenError::Unknown)?;
    if token.revoked_at.is_some() {
        return Err(TokenError::Revoked);
    }
    if now >= token.expires_at {
        return Err(TokenError::Expired);
    }
    Ok(Actor::staff(token.operator.clone(), token.id, token.roles))
}

/// What is asked when a token is made. Its roles stand in the permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// What it is for.
    pub label: Line<LABEL_BYTES_MAX>,
    /// When it ends.
    pub expires_at: Instant,
}

/// What the caller draws at random for a token.
#[derive(Clone)]
pub struct TokenEntropy {
    /// For the identifier.
    pub id: [u8; 10],
    /// The secret itself.
    pub secret: [u8; SECRET_BYTES],
}

impl Drop for TokenEntropy {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// Makes a token of the permit's operator with the roles that the permit names. `in_force` is how
/// many tokens of the operator have force now. The second half of the answer goes to the bearer, once.
///
/// # Errors
/// [`Refusal::TokenLife`], [`Refusal::TokensTooMany`], [`Refusal::Permit`].
pub fn create_token(
    permit: &Permit,
    in_force: usize,
    request: NewToken,
    now: Instant,
    entropy: &TokenEntropy,
) -> Result<(Change, PresentedToken), Refusal> {
    permit.covers(Action::TokenCreate, permit.operator())?;
    let Object::TokenWith(roles) = permit.object() else {
        let wrong = WrongPermit { given: permit.action(), needed: Action::TokenCreate };
        return Err(Refusal::Permit(wrong));
    };
    if request.expires_at <= now || request.expires_at.duration_since(now) > LIFE_MAX {
        return Err(Refusal::TokenLife);
    }
    if in_force >= TOKENS_MAX {
        return Err(Refusal::TokensTooMany);
    }
    let presented = PresentedToken { id: TokenId::new(now, entropy.id), secret: entropy.secret };
    let token = StaffToken {
        id: presented.id,
        operator: permit.operator().clone(),
        label: request.label,
        roles,
        hash: TokenHash::of(&presented),
        created_at: now,
        expires_at: request.expires_at,
        revoked_at: None,
        version: 1,
    };
    Ok((Change::InsertToken(token), presented))
}

/// Revokes `token` for good.
///
/// # Errors
/// [`Refusal::TokenRevoked`] when it is revoked already, [`Refusal::Permit`] for a wrong permit.
pub fn revoke_token(permit: &Permit, token: &StaffToken, now: Instant) -> Result<Change, Refusal> {
    permit.covers(Action::TokenRevoke, &token.operator)?;
    if token.revoked_at.is_some() {
        return Err(Refusal::TokenRevoked);
    }
    let version = token.version.saturating_add(1);
    Ok(Change::UpdateToken(StaffToken { revoked_at: Some(now), version, ..token.clone() }))
}

const fn nibble(digit: u8) -> Result<u8, TokenError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(TokenError::Form),
    }
}
