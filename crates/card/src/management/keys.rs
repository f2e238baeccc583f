//! The device keys of a pass: drawn here, used in the session that drew them, kept with the pass.

use alloc::vec::Vec;

use credential::crypto::P256Secret;

use super::{Hands, MESSAGE_FILE, Management};
use crate::ENTROPY_BYTES;
use crate::memory::Memory;
use crate::status::{Status, StatusError};

/// Keys that one session draws for signatures.
pub const DRAWN_MAX: usize = 8;
/// A key that agrees, for one batch of handles.
pub const AGREES: u8 = 0;
/// A key that signs.
pub const SIGNS: u8 = 1;
/// The key of the pass that is held, by which handles are asked for.
pub const HELD: u8 = 0;

/// What a desk may have signed: headers of JOSE, and statements for handles. Not what proves the card at
/// a door, so that a desk cannot tap from afar.
const SIGNED: [&[u8]; 2] = [b"eyJ", b"limen express "];

impl Management {
    /// Draws a key and gives its number and point. It is gone with the session.
    pub(super) fn draw<M: Memory>(
        &mut self,
        hands: &Hands<'_, M>,
        entropy: &[u8; ENTROPY_BYTES],
        of: u8,
    ) -> Result<Vec<u8>, StatusError> {
        let secret = entropy.last_chunk::<32>().ok_or(Status::Aborted)?;
        let secret = P256Secret::from_bytes(*secret);
        let point = hands.crypto.p256_public(&secret).map_err(|_| Status::Aborted)?;
        let number = match of {
            AGREES => {
                self.agreement = Some(secret);
                0
            }
            SIGNS if self.drawn.len() < DRAWN_MAX => {
                self.drawn.push(secret);
                u8::try_from(self.drawn.len()).map_err(|_| Status::Full)?
            }
            SIGNS => return Err(Status::Full.into()),
            _ => return Err(Status::Parameter.into()),
        };
        Ok([&[number], &point[..]].concat())
    }

    /// A key that was drawn in this session.
    pub(super) fn drawn(&self, number: u8) -> Result<&P256Secret, StatusError> {
        let place = usize::from(number).checked_sub(1);
        Ok(place.and_then(|place| self.drawn.get(place)).ok_or(Status::Key)?)
    }

    /// Signs the message that was written, which is used up.
    pub(super) fn sign<M: Memory>(
        &mut self,
        hands: &Hands<'_, M>,
        slot: usize,
        number: u8,
    ) -> Result<Vec<u8>, StatusError> {
        let message = self.take_inbox(MESSAGE_FILE)?;
        if !SIGNED.iter().any(|first| message.starts_with(first)) {
            return Err(Status::Permission.into());
        }
        let held;
        let secret = if number == HELD {
            held = hands.store.pass_record(hands.crypto, slot)?.ok_or(Status::Key)?;
            &held.handle_key
        } else {
            self.drawn(number)?
        };
        let signed = hands.crypto.p256_sign(secret, &message).map_err(|_| Status::Aborted)?;
        Ok(signed.as_bytes().to_vec())
    }
}
