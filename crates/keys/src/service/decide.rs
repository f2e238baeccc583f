//! Whether a client gets a signature: nothing but its rights, the key and the bytes.
//!
//! The bytes are read here, whatever the client believes of them. A key signs objects of one type,
//! and bytes that are a valid object of another type are refused like any others.

use std::collections::BTreeSet;

use crate::custody::{Key, State};
use crate::object::{ObjectType, TypedObject, certificate};
use crate::purpose::Purpose;
use crate::vault::desk::VaultRight;
use crate::wire::refusal::Refusal;

/// What a client may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Sign with keys of these purposes. What follows is allowed for the same purposes alone.
    pub sign: BTreeSet<Purpose>,
    /// Have keys made, and keep certificates beside keys.
    pub generate: bool,
    /// Move keys on in their lives.
    pub set_state: bool,
    /// Destroy retired keys.
    pub destroy: bool,
    /// Ask the vault for this.
    pub vault: BTreeSet<VaultRight>,
}

/// The object that `key` may sign for who has `rights`.
///
/// # Errors
/// [`Refusal::NotAllowed`], [`Refusal::NotActive`], [`Refusal::WrongType`] or
/// [`Refusal::WrongSuite`].
pub fn decide<'a>(rights: &Rights, key: &Key, bytes: &'a [u8]) -> Result<TypedObject<'a>, Refusal> {
    let purpose = key.purpose;
    if !rights.sign.contains(&purpose) {
        return Err(Refusal::NotAllowed { deed: "sign".into(), purpose: Some(purpose) });
    }
    if key.state != State::Active {
        return Err(Refusal::NotActive { state: key.state });
    }
    let object = TypedObject::parse(purpose.object_type(), bytes).map_err(|_| {
        Refusal::WrongType { purpose, found: found(bytes).map(|it| it.to_string()) }
    })?;
    key.may_sign(&object).map_err(|error| Refusal::of_signing(&error))?;
    Ok(object)
}

/// An issuing authority here vouches for document signers that are here, too, and of its operator:
/// who could have a key of their own certified would issue passes without this service from then on.
/// `keys` are all that there are.
///
/// # Errors
/// [`Refusal::NotAllowed`] with the deed `certify`.
pub fn vouches_for_ours(
    keys: &[Key],
    authority: &Key,
    object: &TypedObject<'_>,
) -> Result<(), Refusal> {
    if object.object_type() != ObjectType::DocumentSignerCertificate {
        return Ok(());
    }
    let subject = certificate::subject_key(object.bytes());
    let is_ours = keys.iter().any(|key| {
        matches!(key.purpose, Purpose::DocumentSignerMdoc | Purpose::DocumentSignerSdJwt)
            && key.state != State::Retired
            && key.operator == authority.operator
            && subject.as_ref() == Some(&key.public_key)
    });
    if is_ours {
        return Ok(());
    }
    Err(Refusal::NotAllowed { deed: "certify".into(), purpose: Some(authority.purpose) })
}

/// What the bytes are, if they are anything that is ever signed.
fn found(bytes: &[u8]) -> Option<ObjectType> {
    ObjectType::ALL.into_iter().find(|object| TypedObject::parse(*object, bytes).is_ok())
}
