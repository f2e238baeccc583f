//! Delivery keys: to which keys of its own a reader's symmetric keys are wrapped.

use credential::crypto::{Crypto, PublicKey};
use credential::delivery::recipient::Statement;
use policy::action::Action;
use policy::authorize::Permit;

use crate::change::Change;
use crate::reader::Reader;
use crate::refusal::Refusal;

/// Keeps the statement `bytes` of the delivery keys of `reader`, signed by its present key. They take the
/// place of those before.
///
/// # Errors
/// [`Refusal::Retired`], [`Refusal::DeliveryKeys`], [`Refusal::Permit`].
pub fn register_delivery_keys(
    permit: &Permit,
    reader: &Reader,
    bytes: &[u8],
    crypto: &dyn Crypto,
) -> Result<Change, Refusal> {
    permit.covers(Action::ReaderRenew, &reader.operator)?;
    reader.is_object_of(permit)?;
    if !reader.is_enrolled() {
        return Err(Refusal::Retired);
    }
    let wrong = |rejection| Refusal::DeliveryKeys(Box::new(rejection));
    let statement = Statement::parse(bytes).map_err(wrong)?;
    statement.verify_by(crypto, &PublicKey::P256(reader.key)).map_err(wrong)?;
    if statement.reader != reader.id {
        let message = "delivery keys are those of another reader";
        return Err(wrong(credential::rejection::Rejection::reader(
            "delivery-keys-reader",
            message,
        )));
    }
    let delivery_keys = Some(statement.encode());
    Ok(Change::UpdateReader(Reader { delivery_keys, ..reader.next() }))
}
