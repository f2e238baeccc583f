//! EV2-style AES secure messaging (NXP AN12196), the side of the reader: authentication, session keys,
//! and the cryptogram that changes a key.
//!
//! Who holds the card key answers the card's challenge; all that leaves are the keys of one session.

use core::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::cipher::{CardCipher, SoftwareKey};
use super::error::{CardError, CipherFault};

const SV1: [u8; 6] = [0xa5, 0x5a, 0x00, 0x01, 0x00, 0x80];
const SV2: [u8; 6] = [0x5a, 0xa5, 0x00, 0x01, 0x00, 0x80];
const CHANGE_KEY: u8 = 0xc4;

/// Which of the two authentications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The first of a transaction: the card names the transaction and its counter starts at 0.
    First,
    /// A later one: transaction and counter stay.
    NonFirst,
}

/// The keys of one session; erased when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Session {
    encryption: [u8; 16],
    mac: [u8; 16],
    #[zeroize(skip)]
    transaction: Option<[u8; 4]>,
}

impl Session {
    /// A session from its keys and the identifier of the transaction, which a later authentication
    /// does not give.
    #[must_use]
    pub const fn new(encryption: [u8; 16], mac: [u8; 16], transaction: Option<[u8; 4]>) -> Self {
        Self { encryption, mac, transaction }
    }

    /// The key that encrypts.
    #[must_use]
    pub const fn danger_encryption_key(&self) -> &[u8; 16] {
        &self.encryption
    }

    /// The key that authenticates.
    #[must_use]
    pub const fn danger_mac_key(&self) -> &[u8; 16] {
        &self.mac
    }

    /// The identifier of the transaction, where this authentication gave one.
    #[must_use]
    pub const fn transaction(&self) -> Option<&[u8; 4]> {
        self.transaction.as_ref()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session(..)")
    }
}

/// An authentication after its first half; erased when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Challenged {
    rnd_a: [u8; 16],
    rnd_b: [u8; 16],
    #[zeroize(skip)]
    mode: Mode,
}

/// Answers the card's encrypted `challenge` with `rnd_a`, which must be fresh.
pub(crate) fn answer(
    key: &dyn CardCipher,
    mode: Mode,
    challenge: &[u8; 16],
    rnd_a: [u8; 16],
) -> Result<(Challenged, [u8; 32]), CipherFault> {
    let plain = key.decrypt(&[0; 16], challenge)?;
    let rnd_b: [u8; 16] = plain.as_slice().try_into().map_err(|_| CipherFault)?;
    let message = Zeroizing::new([rnd_a, rotated(&rnd_b)].concat());
    let sealed = key.encrypt(&[0; 16], &message)?;
    let sealed = sealed.as_slice().try_into().map_err(|_| CipherFault)?;
    Ok((Challenged { rnd_a, rnd_b, mode }, sealed))
}

/// Checks the card's last answer and makes the keys of the session.
pub(crate) fn finish(
    key: &dyn CardCipher,
    challenged: &Challenged,
    response: &[u8],
) -> Result<Session, CardError> {
    let plain = match (challenged.mode, response.len()) {
        (Mode::First, 32) | (Mode::NonFirst, 16) => key.decrypt(&[0; 16], response)?,
        _ => return Err(CardError::Length),
    };
    let (transaction, rest) = match challenged.mode {
        Mode::First => {
            let (ti, rest) = plain.split_first_chunk::<4>().ok_or(CardError::Length)?;
            (Some(*ti), rest)
        }
        Mode::NonFirst => (None, plain.as_slice()),
    };
    let rnd_a = rest.first_chunk::<16>().ok_or(CardError::Length)?;
    verify_slices_are_equal(rnd_a, &rotated(&challenged.rnd_a)).map_err(|_| CardError::Card)?;
    let [encryption, mac] = [SV1, SV2].map(|label| key.mac(&session_vector(label, challenged)));
    Ok(Session { encryption: encryption?, mac: mac?, transaction })
}

/// SV1 and SV2 of AN12196: label, `RndA[0..2]`, `RndA[2..8] ^ RndB[0..6]`, `RndB[6..]`, `RndA[8..]`.
fn session_vector(label: [u8; 6], challenged: &Challenged) -> Zeroizing<Vec<u8>> {
    let Challenged { rnd_a, rnd_b, .. } = challenged;
    let mut vector = Zeroizing::new(Vec::with_capacity(32));
    vector.extend(label);
    vector.extend(rnd_a.iter().take(2));
    vector.extend(rnd_a.iter().skip(2).zip(rnd_b).take(6).map(|(a, b)| a ^ b));
    vector.extend(rnd_b.iter().skip(6));
    vector.extend(rnd_a.iter().skip(8));
    vector
}

fn rotated(random: &[u8; 16]) -> [u8; 16] {
    let mut rotated = *random;
    rotated.rotate_left(1);
    rotated
}

/// Which key of the card is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed<'k> {
    /// The key with which the session was authenticated.
    Own,
    /// Another: the card wants the old one folded in.
    Other {
        /// The key that the card has now.
        old: &'k [u8; 16],
    },
}

/// The command data of ChangeKey: key number, cryptogram, and the eight bytes of MAC. `counter` is the
/// session's count of commands.
///
/// # Errors
/// [`CipherFault`] as [`CardError::Unavailable`]; [`CardError::Length`] for a session without a
/// transaction.
pub fn change_key(
    session: &Session,
    counter: u16,
    key_number: u8,
    changed: Changed<'_>,
    new: &[u8; 16],
    version: u8,
) -> Result<Vec<u8>, CardError> {
    let mut plain = Zeroizing::new(Vec::with_capacity(32));
    match changed {
        Changed::Own => {
            plain.extend_from_slice(new);
            plain.push(version);
        }
        Changed::Other { old } => {
            plain.extend(new.iter().zip(old).map(|(new, old)| new ^ old));
            plain.push(version);
            plain.extend_from_slice(&crc32(new).to_le_bytes());
        }
    }
    plain.push(0x80);
    plain.resize(32, 0);
    let encryption = SoftwareKey::new(Zeroizing::new(session.encryption));
    let iv = command_iv(&encryption, session, counter)?;
    let cryptogram = encryption.encrypt(&iv, &plain)?;
    command(session, CHANGE_KEY, counter, &[key_number], &cryptogram)
}

/// Header, data and MAC of a command in full mode whose data is encrypted already.
pub(crate) fn command(
    session: &Session,
    command: u8,
    counter: u16,
    header: &[u8],
    data: &[u8],
) -> Result<Vec<u8>, CardError> {
    let ti = session.transaction.ok_or(CardError::Length)?;
    let message = [&[command], counter.to_le_bytes().as_slice(), &ti, header, data].concat();
    let tag = SoftwareKey::new(Zeroizing::new(session.mac)).mac(&message)?;
    Ok([header, data, &short(&tag)].concat())
}

/// The IV of an encrypted command.
pub(crate) fn command_iv(
    encryption: &dyn CardCipher,
    session: &Session,
    counter: u16,
) -> Result<[u8; 16], CardError> {
    iv(encryption, session, [0xa5, 0x5a], counter)
}

/// The IV of an encrypted answer, after `counter` commands with this one.
pub(crate) fn answer_iv(
    encryption: &dyn CardCipher,
    session: &Session,
    counter: u16,
) -> Result<[u8; 16], CardError> {
    iv(encryption, session, [0x5a, 0xa5], counter)
}

fn iv(
    encryption: &dyn CardCipher,
    session: &Session,
    [one, other]: [u8; 2],
    counter: u16,
) -> Result<[u8; 16], CardError> {
    let ti = session.transaction.ok_or(CardError::Length)?;
    let [low, high] = counter.to_le_bytes();
    let [a, b, c, d] = ti;
    let block = [one, other, a, b, c, d, low, high, 0, 0, 0, 0, 0, 0, 0, 0];
    let iv = encryption.encrypt(&[0; 16], &block)?;
    iv.as_slice().try_into().map_err(|_| CardError::Unavailable)
}

/// The eight bytes of a MAC that travel: those at odd positions.
pub(crate) fn short(tag: &[u8; 16]) -> Vec<u8> {
    tag.iter().skip(1).step_by(2).copied().collect()
}

/// The CRC-32 of ISO 3309 without its last inversion, as these cards have it.
fn crc32(data: &[u8]) -> u32 {
    data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1))
        })
    })
}
