//! What changes keys and applications.

use alloc::vec::Vec;

use super::{Hands, Place, Whose};
use crate::cipher;
use crate::memory::Memory;
use crate::record::{Application, Key, Keys, Root};
use crate::status::{Status, StatusError};
use crate::{APPLICATIONS_MAX, Kind, ROOT, Scope};

/// Puts a new key in place of the one with `number`: of the session itself, or another, whose old bytes
/// are folded in. A card is never moved back.
pub(super) fn change_key<M: Memory>(
    hands: &mut Hands<'_, M>,
    whose: Whose,
    number: u8,
    body: &[u8],
) -> Result<(), StatusError> {
    let change = |keys: &mut Keys| {
        let place = keys.0.get_mut(usize::from(number)).ok_or(Status::Key)?;
        let key = new_key(place, number == whose.number, body)?;
        if key.version <= place.version {
            return Err(StatusError(Status::Parameter));
        }
        *place = key;
        Ok(())
    };
    match whose.place {
        Place::Application(slot) => {
            let mut application = hands.store.application(hands.crypto, slot)?;
            change(&mut application.keys)?;
            hands.store.save_application(hands.crypto, slot, &application)?;
        }
        _ => {
            let mut root = hands.store.root(hands.crypto)?;
            if root.is_blank() {
                return Err(Status::Permission.into());
            }
            change(&mut root.keys)?;
            hands.store.save_root(hands.crypto, &root)?;
        }
    }
    Ok(())
}

fn new_key(old: &Key, is_own: bool, body: &[u8]) -> Result<Key, StatusError> {
    let (sent, rest) = body.split_first_chunk::<16>().ok_or(Status::Length)?;
    let mut bytes = *sent;
    let (version, check) = rest.split_first().ok_or(Status::Length)?;
    if is_own {
        return if check.is_empty() {
            Ok(Key { bytes, version: *version })
        } else {
            Err(Status::Length.into())
        };
    }
    bytes.iter_mut().zip(old.bytes).for_each(|(byte, old)| *byte ^= old);
    if check.len() != 4 {
        return Err(Status::Length.into());
    }
    if cipher::crc32(&bytes).to_le_bytes() != check {
        return Err(Status::Integrity.into());
    }
    Ok(Key { bytes, version: *version })
}

/// Makes an application; or, where the body names [`ROOT`] and the card is blank, gives the card its
/// keys, with which the session ends. All of it or nothing.
pub(super) fn create<M: Memory>(
    hands: &mut Hands<'_, M>,
    mut body: &[u8],
) -> Result<bool, StatusError> {
    let (scope, rest) = body.split_first_chunk::<8>().ok_or(Status::Length)?;
    let (kind, rest) = rest.split_first().ok_or(Status::Length)?;
    body = rest;
    let keys = Keys::read(&mut body).map_err(|_| Status::Length)?;
    if !body.is_empty() {
        return Err(Status::Length.into());
    }
    if keys.0.iter().any(|key| key.version == 0) {
        return Err(Status::Parameter.into());
    }
    let mut root = hands.store.root(hands.crypto)?;
    if root.is_blank() != (*scope == ROOT) {
        return Err(Status::Permission.into());
    }
    if *scope == ROOT {
        root.keys = keys;
        hands.store.save_root(hands.crypto, &root)?;
        return Ok(true);
    }
    let kind = Kind::from_byte(*kind).ok_or(Status::Parameter)?;
    if root.slot_of(scope).is_some() {
        return Err(Status::Duplicate.into());
    }
    let free = root.directory.iter().position(Option::is_none);
    let slot = free.filter(|slot| *slot < APPLICATIONS_MAX).ok_or(Status::Full)?;
    hands.store.save_application(hands.crypto, slot, &Application::new(*scope, kind, keys))?;
    enter(hands, root, slot, Some(*scope))?;
    Ok(false)
}

pub(super) fn delete<M: Memory>(
    hands: &mut Hands<'_, M>,
    scope: Scope,
) -> Result<Vec<u8>, StatusError> {
    let root = hands.store.root(hands.crypto)?;
    let slot = root.slot_of(&scope).ok_or(Status::Application)?;
    enter(hands, root, slot, None)?;
    hands.store.erase(slot)?;
    Ok(Vec::new())
}

fn enter<M: Memory>(
    hands: &mut Hands<'_, M>,
    mut root: Root,
    slot: usize,
    scope: Option<Scope>,
) -> Result<(), StatusError> {
    if let Some(entry) = root.directory.get_mut(slot) {
        *entry = scope;
    }
    Ok(hands.store.save_root(hands.crypto, &root)?)
}
