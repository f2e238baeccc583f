//! People who may hold passes: as little as issuing a pass needs.

use policy::action::Action;
use policy::authorize::Permit;
use vocabulary::code::OperatorCode;
use vocabulary::id::PersonId;
use vocabulary::text::Personal;
use vocabulary::time::Instant;

use crate::change::Change;
use crate::refusal::Refusal;

/// Bytes in the name of a person.
pub const NAME_BYTES_MAX: usize = 200;
/// Bytes in a contact, such as a mail address (RFC 5321 allows 254).
pub const CONTACT_BYTES_MAX: usize = 254;
/// Bytes in the reference by which the operator's own books know the person.
pub const REFERENCE_BYTES_MAX: usize = 64;

/// A person, known to one operator. The same human with two operators is two persons here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The key.
    pub id: PersonId,
    /// The operator that registered the person.
    pub operator: OperatorCode,
    /// Full name, as the person writes it.
    pub name: Personal<NAME_BYTES_MAX>,
    /// Where an offer can be sent, if the person wants that.
    pub contact: Option<Personal<CONTACT_BYTES_MAX>>,
    /// The person's number in the operator's own books; unique within the operator.
    pub reference: Option<Personal<REFERENCE_BYTES_MAX>>,
    /// When the person was registered.
    pub registered_at: Instant,
    /// Counts the writes, from 1.
    pub version: u32,
}

/// What is asked when a person is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPerson {
    /// Full name.
    pub name: Personal<NAME_BYTES_MAX>,
    /// Where an offer can be sent.
    pub contact: Option<Personal<CONTACT_BYTES_MAX>>,
    /// The person's number in the operator's own books.
    pub reference: Option<Personal<REFERENCE_BYTES_MAX>>,
}

/// Registers a person with the operator of the permit. `same_reference` is who is stored there
/// under the request's reference, if it names one.
///
/// # Errors
/// [`Refusal::ReferenceExists`] when the reference is taken, [`Refusal::Permit`] for a wrong permit.
pub fn register_person(
    permit: &Permit,
    same_reference: Option<&Person>,
    request: NewPerson,
    now: Instant,
    entropy: [u8; 10],
) -> Result<Change, Refusal> {
    permit.covers(Action::PersonRegister, permit.operator())?;
    if same_reference.is_some() {
        return Err(Refusal::ReferenceExists);
    }
    let NewPerson { name, contact, reference } = request;
    Ok(Change::InsertPerson(Person {
        id: PersonId::new(now, entropy),
        operator: permit.operator().clone(),
        name,
        contact,
        reference,
        registered_at: now,
        version: 1,
    }))
}
