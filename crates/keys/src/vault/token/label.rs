//! The label of a secret on a token: all that is known of it, since a token keeps no more beside a key.
//!
//! Twelve words: `limen-secret-1`, handle, kind, operator, zone, epoch, version, way of derivation,
//! state, made at and in this state since (microseconds since 1970), check value. `-` stands for none.

use std::sync::Arc;

use credential::delivery::{Kcv, Scope};
use vocabulary::time::Instant;

use crate::custody::State;
use crate::vault::diversify::Kdf;
use crate::vault::{Secret, SecretKind};

pub(super) const PREFIX: &str = "limen-secret-1 ";

pub(super) fn write(secret: &Secret) -> String {
    let scope = secret.scope.as_ref();
    let operator = scope.map_or("-", |scope| scope.operator.as_str());
    let zone = scope.and_then(|scope| scope.zone.as_ref()).map_or("-", |zone| zone.as_str());
    format!(
        "{PREFIX}{} {} {operator} {zone} {} {} {} {} {} {} {}",
        secret.handle,
        secret.kind,
        secret.epoch,
        secret.version,
        secret.kdf.map_or("-", Kdf::as_str),
        secret.state,
        secret.created_at.unix_micros(),
        secret.state_since.unix_micros(),
        secret.kcv,
    )
}

pub(super) fn read(text: &str, held_by: Arc<str>) -> Option<Secret> {
    let words: Vec<&str> = text.strip_prefix(PREFIX)?.split(' ').collect();
    let [handle, kind, operator, zone, epoch, version, kdf, state, made, since, kcv] =
        words.try_into().ok()?;
    let operator = present(operator).map(str::parse).transpose().ok()?;
    let zone = present(zone).map(str::parse).transpose().ok()?;
    let scope = match (operator, zone) {
        (Some(operator), zone) => Some(Scope { operator, zone }),
        (None, None) => None,
        (None, Some(_)) => return None,
    };
    let kind: SecretKind = kind.parse().ok()?;
    let kdf: Option<Kdf> = present(kdf).map(str::parse).transpose().ok()?;
    if kdf.is_some() != (kind == SecretKind::CardMaster) {
        return None;
    }
    Some(Secret {
        handle: handle.parse().ok()?,
        kind,
        scope,
        epoch: epoch.parse().ok()?,
        version: version.parse().ok()?,
        kdf,
        kcv: check_value(kcv)?,
        state: State::ALL.into_iter().find(|known| known.as_str() == state)?,
        state_since: Instant::from_unix_micros(since.parse().ok()?),
        created_at: Instant::from_unix_micros(made.parse().ok()?),
        held_by,
    })
}

fn present(word: &str) -> Option<&str> {
    (word != "-").then_some(word)
}

fn check_value(digits: &str) -> Option<Kcv> {
    if digits.len() != 10 {
        return None;
    }
    let value = u64::from_str_radix(digits, 16).ok()?;
    let [_, _, _, bytes @ ..] = value.to_be_bytes();
    Some(Kcv(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::SecretHandle;

    #[test]
    fn a_label_read_back_is_the_secret_that_it_describes() {
        let scope = Scope { operator: "tram".parse().unwrap(), zone: Some("B".parse().unwrap()) };
        let held_by: Arc<str> = Arc::from("token:city");
        let secret = Secret {
            handle: SecretHandle::from_bytes([7; 16]),
            kind: SecretKind::CardMaster,
            scope: Some(scope),
            epoch: 0,
            version: 3,
            kdf: Some(Kdf::Sp800108Cmac),
            kcv: Kcv([0, 1, 2, 3, 255]),
            state: State::Active,
            state_since: Instant::from_unix_micros(2),
            created_at: Instant::from_unix_micros(1),
            held_by: Arc::clone(&held_by),
        };
        let plain = Secret { scope: None, kdf: None, kind: SecretKind::Wrapping, ..secret.clone() };
        for secret in [secret, plain] {
            let text = write(&secret);
            assert_eq!(read(&text, Arc::clone(&held_by)), Some(secret), "{text}");
            for end in 0..text.len() {
                assert_eq!(read(&text[..end], Arc::clone(&held_by)), None, "cut at {end}");
            }
        }
    }
}
