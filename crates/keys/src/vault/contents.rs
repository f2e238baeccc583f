//! What lies inside a sealed vault: the secrets one after another (layout: `specs/keystore.md`).

use std::sync::Arc;

use credential::delivery::Scope;
use vocabulary::time::Instant;
use zeroize::Zeroizing;

use super::diversify::Kdf;
use super::error::CipherFault;
use super::{Bytes, SECRETS_MAX, Secret, SecretHandle, SecretKind, cipher};
use crate::custody::State;
use crate::seal::take;

/// Bytes of a record without operator, zone and key.
const RECORD_FIXED_BYTES: usize = 1 + 1 + 1 + 16 + 8 + 8 + 8 + 4 + 1 + 1 + 1;
/// What [`Secret::held_by`] says of secrets in a sealed file.
pub(super) const HELD_BY: &str = "software";

/// A secret with its bytes, which are erased when dropped.
pub(crate) struct Stored {
    pub(crate) secret: Secret,
    key: Bytes,
}

impl Stored {
    /// Puts `key` to its description; the check value is made here.
    pub(crate) fn new(mut secret: Secret, key: Bytes) -> Result<Self, CipherFault> {
        secret.kcv = cipher::kcv(&key)?;
        secret.held_by = Arc::from(HELD_BY);
        Ok(Self { secret, key })
    }

    pub(crate) fn danger_key(&self) -> &[u8] {
        &self.key
    }

    /// The same secret, described anew.
    pub(crate) fn with(&self, secret: Secret) -> Self {
        Self { secret, key: self.key.clone() }
    }
}

/// The records of `secrets`, one after another, in a buffer that does not grow.
pub(crate) fn encode(secrets: &[Arc<Stored>]) -> Option<Bytes> {
    let capacity = 4 + secrets.iter().map(|stored| record_bytes(stored)).sum::<usize>();
    let mut plain = Zeroizing::new(Vec::with_capacity(capacity));
    plain.extend_from_slice(&u32::try_from(secrets.len()).ok()?.to_be_bytes());
    for stored in secrets {
        append(&mut plain, stored)?;
    }
    // INVARIANT: the buffer was reserved at its exact size and has not moved.
    debug_assert_eq!(plain.len(), capacity);
    Some(plain)
}

fn names(secret: &Secret) -> (&str, &str) {
    let scope = secret.scope.as_ref();
    let operator = scope.map_or("", |scope| scope.operator.as_str());
    let zone = scope.and_then(|scope| scope.zone.as_ref()).map_or("", |zone| zone.as_str());
    (operator, zone)
}

fn record_bytes(stored: &Stored) -> usize {
    let (operator, zone) = names(&stored.secret);
    RECORD_FIXED_BYTES + operator.len() + zone.len() + stored.key.len()
}

fn append(plain: &mut Vec<u8>, stored: &Stored) -> Option<()> {
    let secret = &stored.secret;
    let kdf = secret.kdf.map_or(0, Kdf::number);
    plain.extend_from_slice(&[secret.kind.number(), kdf, secret.state.number()]);
    plain.extend_from_slice(secret.handle.as_bytes());
    plain.extend_from_slice(&secret.created_at.unix_micros().to_be_bytes());
    plain.extend_from_slice(&secret.state_since.unix_micros().to_be_bytes());
    plain.extend_from_slice(&secret.epoch.to_be_bytes());
    plain.extend_from_slice(&secret.version.to_be_bytes());
    let (operator, zone) = names(secret);
    for run in [operator.as_bytes(), zone.as_bytes(), &stored.key] {
        plain.push(u8::try_from(run.len()).ok()?);
        plain.extend_from_slice(run);
    }
    Some(())
}

/// The secrets in `plain`; `None` when the records do not fit the layout to the last byte.
pub(crate) fn decode(plain: &[u8]) -> Option<Vec<Stored>> {
    let (count, mut rest) = take::<4>(plain)?;
    let count = usize::try_from(u32::from_be_bytes(count)).ok()?;
    if count > SECRETS_MAX {
        return None;
    }
    let mut secrets = Vec::with_capacity(count);
    for _ in 0..count {
        let (stored, after) = record(rest)?;
        secrets.push(stored);
        rest = after;
    }
    rest.is_empty().then_some(secrets)
}

fn record(bytes: &[u8]) -> Option<(Stored, &[u8])> {
    let ([kind, kdf, state], rest) = take::<3>(bytes)?;
    let (handle, rest) = take::<16>(rest)?;
    let (created_at, rest) = take::<8>(rest)?;
    let (state_since, rest) = take::<8>(rest)?;
    let (epoch, rest) = take::<8>(rest)?;
    let (version, rest) = take::<4>(rest)?;
    let (operator, rest) = short(rest)?;
    let (zone, rest) = short(rest)?;
    let (key, rest) = short(rest)?;
    let kind = SecretKind::from_number(kind)?;
    let version = u32::from_be_bytes(version);
    let is_master = kind == SecretKind::CardMaster;
    if key.len() != kind.key_bytes() || version == 0 || is_master != (kdf != 0) {
        return None;
    }
    let instant = |bytes| Instant::from_unix_micros(i64::from_be_bytes(bytes));
    let secret = Secret {
        handle: SecretHandle::from_bytes(handle),
        kind,
        scope: scope(operator, zone)?,
        epoch: u64::from_be_bytes(epoch),
        version,
        kdf: if is_master { Some(Kdf::from_number(kdf)?) } else { None },
        kcv: credential::delivery::Kcv([0; 5]),
        state: State::from_number(state)?,
        state_since: instant(state_since),
        created_at: instant(created_at),
        held_by: Arc::from(HELD_BY),
    };
    Some((Stored::new(secret, Zeroizing::new(key.to_vec())).ok()?, rest))
}

fn scope(operator: &[u8], zone: &[u8]) -> Option<Option<Scope>> {
    if operator.is_empty() {
        return zone.is_empty().then_some(None);
    }
    let operator = core::str::from_utf8(operator).ok()?.parse().ok()?;
    let zone = match zone {
        [] => None,
        text => Some(core::str::from_utf8(text).ok()?.parse().ok()?),
    };
    Some(Some(Scope { operator, zone }))
}

/// A run of at most 255 bytes behind its length.
fn short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}
