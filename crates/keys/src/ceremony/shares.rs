//! Shares of the wrapping key: Shamir's scheme, byte by byte over GF(256), by crate `vsss-rs`.
//!
//! Any `threshold` of the shares of one ceremony give the key; fewer tell nothing about it. A share
//! carries the ceremony that it belongs to and a checksum against slips of the pen. That it is the
//! share that was handed out, and not a forged one, is told by its commitment in the transcript:
//! Shamir's scheme alone would put a forged share together to a wrong key without a word.

use core::convert::Infallible;
use core::fmt;
use core::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256};
use rand_core::{TryCryptoRng, TryRng};
use vsss_rs::Gf256;
use zeroize::{Zeroize, Zeroizing};

use super::base32::{self, DecodeError};
use super::wrapping::{WRAPPING_KEY_BYTES, WrappingKey};

/// The smallest threshold: no one custodian can do it alone.
pub const THRESHOLD_MIN: u8 = 2;
/// Custodians of one ceremony.
pub const CUSTODIANS_MAX: u8 = 16;
/// Bytes of entropy that splitting uses at most: four for each coefficient.
pub const SPLIT_ENTROPY_BYTES: usize = WRAPPING_KEY_BYTES * (CUSTODIANS_MAX as usize - 1) * 4;
/// Bytes of a share; 80 characters on paper.
pub const SHARE_BYTES: usize = 1 + 10 + 1 + 1 + WRAPPING_KEY_BYTES + CHECKSUM_BYTES;
/// Characters of a share on paper, without hyphens and blanks.
pub const SHARE_CHARACTERS: usize = SHARE_BYTES * 8 / 5;
/// Characters of a share that is read, blanks and hyphens included.
pub const SHARE_CHARACTERS_MAX: usize = 512;

const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 5;
const CHECKSUM_DOMAIN: &[u8] = b"limen-ceremony-share-checksum-1";
const COMMITMENT_DOMAIN: &[u8] = b"limen-ceremony-share-commitment-1";

/// Names one ceremony: 80 random bits. Text form: 16 characters of Crockford's Base32.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CeremonyId([u8; 10]);

impl CeremonyId {
    /// From ten random bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 10]) -> Self {
        Self(bytes)
    }

    /// The ten bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 10] {
        &self.0
    }
}

impl fmt::Display for CeremonyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base32::encode(&self.0))
    }
}

impl fmt::Debug for CeremonyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for CeremonyId {
    type Err = ParseCeremonyIdError;

    fn from_str(text: &str) -> Result<Self, ParseCeremonyIdError> {
        base32::decode(text).map(Self).map_err(|_| ParseCeremonyIdError)
    }
}

/// A text that is not the identifier of a ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseCeremonyIdError;

impl fmt::Display for ParseCeremonyIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the identifier of a ceremony: expected 16 characters of Base32")
    }
}

impl core::error::Error for ParseCeremonyIdError {}

/// How many shares there are, and how many of them give the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    threshold: u8,
    custodians: u8,
}

impl Split {
    /// `threshold` of `custodians`.
    ///
    /// # Errors
    /// [`ShareError::Split`] unless [`THRESHOLD_MIN`] <= threshold <= custodians <= [`CUSTODIANS_MAX`].
    pub const fn new(threshold: u8, custodians: u8) -> Result<Self, ShareError> {
        if threshold < THRESHOLD_MIN || threshold > custodians || custodians > CUSTODIANS_MAX {
            return Err(ShareError::Split { threshold, custodians });
        }
        Ok(Self { threshold, custodians })
    }

    /// How many shares give the key.
    #[must_use]
    pub const fn threshold(self) -> u8 {
        self.threshold
    }

    /// How many shares there are.
    #[must_use]
    pub const fn custodians(self) -> u8 {
        self.custodians
    }
}

/// The share of one custodian; wiped when dropped and never shown by accident.
pub struct Share {
    ceremony: CeremonyId,
    threshold: u8,
    index: u8,
    payload: Zeroizing<[u8; WRAPPING_KEY_BYTES]>,
}

impl Share {
    /// The ceremony that made it.
    #[must_use]
    pub const fn ceremony(&self) -> CeremonyId {
        self.ceremony
    }

    /// How many shares of this ceremony give the key.
    #[must_use]
    pub const fn threshold(&self) -> u8 {
        self.threshold
    }

    /// Its place among the custodians, from 1.
    #[must_use]
    pub const fn index(&self) -> u8 {
        self.index
    }

    /// SHA-256 over the share, which tells nothing about a payload of 256 random bits.
    #[must_use]
    pub fn commitment(&self) -> [u8; 32] {
        hash(COMMITMENT_DOMAIN, self.danger_bytes().as_ref())
    }

    /// The share for paper: sixteen groups of five characters on four lines.
    #[must_use]
    pub fn danger_text(&self) -> Zeroizing<String> {
        Zeroizing::new(base32::groups(self.danger_bytes().as_ref()))
    }

    fn danger_bytes(&self) -> Zeroizing<[u8; SHARE_BYTES]> {
        let mut bytes = Zeroizing::new([0; SHARE_BYTES]);
        let head = [VERSION].into_iter().chain(self.ceremony.0);
        let body = head.chain([self.threshold, self.index]).chain(*self.payload);
        bytes.iter_mut().zip(body).for_each(|(to, from)| *to = from);
        let (content, checksum) = bytes.split_at_mut(SHARE_BYTES - CHECKSUM_BYTES);
        let sum = hash(CHECKSUM_DOMAIN, content);
        checksum.iter_mut().zip(sum).for_each(|(to, from)| *to = from);
        bytes
    }
}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        if text.len() > SHARE_CHARACTERS_MAX {
            return Err(ShareError::Length { found: text.len() });
        }
        let bytes = base32::decode::<SHARE_BYTES>(text).map_err(|error| match error {
            DecodeError::Character { position } => ShareError::Character { position },
            DecodeError::Length { found } => ShareError::Length { found },
        })?;
        let bytes = Zeroizing::new(bytes);
        let (content, checksum) = bytes.split_at(SHARE_BYTES - CHECKSUM_BYTES);
        if !hash(CHECKSUM_DOMAIN, content).starts_with(checksum) {
            return Err(ShareError::Checksum);
        }
        let read = || {
            let (version, rest) = content.split_first()?;
            let (ceremony, rest) = rest.split_first_chunk::<10>()?;
            let ([threshold, index], payload) = rest.split_first_chunk::<2>()?;
            let payload = Zeroizing::new(payload.try_into().ok()?);
            let share = Self {
                ceremony: CeremonyId(*ceremony),
                threshold: *threshold,
                index: *index,
                payload,
            };
            Some((*version, share))
        };
        let (version, share) = read().ok_or(ShareError::Checksum)?;
        if version != VERSION {
            return Err(ShareError::Version { found: version });
        }
        Split::new(share.threshold, CUSTODIANS_MAX)?;
        if share.index == 0 || share.index > CUSTODIANS_MAX {
            return Err(ShareError::Index { found: share.index });
        }
        Ok(share)
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({} of {}, ..)", self.index, self.ceremony)
    }
}

/// Splits `key` for the ceremony `id`. The entropy must be fresh: it is the secret of the shares.
///
/// # Errors
/// [`ShareError::Cryptography`].
pub fn split(
    key: &WrappingKey,
    id: CeremonyId,
    split: Split,
    entropy: &Zeroizing<[u8; SPLIT_ENTROPY_BYTES]>,
) -> Result<Vec<Share>, ShareError> {
    let mut source = Entropy { bytes: entropy.as_ref(), dry: false };
    let (threshold, custodians) = (split.threshold.into(), split.custodians.into());
    let points = Gf256::split_bytes(threshold, custodians, key.danger_bytes(), &mut source);
    let mut points = points.map_err(|_| ShareError::Cryptography)?;
    let dry = source.dry;
    let shares = points.iter().map(|point| {
        let (index, payload) = point.split_first()?;
        let payload = Zeroizing::new(payload.try_into().ok()?);
        Some(Share { ceremony: id, threshold: split.threshold, index: *index, payload })
    });
    let shares = shares.collect::<Option<Vec<_>>>().filter(|_| !dry);
    points.iter_mut().for_each(Zeroize::zeroize);
    shares.ok_or(ShareError::Cryptography)
}

/// Puts `shares` of the ceremony `id` together to the key. Whether that is the right key is told
/// by its check value, and whether a share is a forged one by its commitment.
///
/// # Errors
/// [`ShareError::OtherCeremony`], [`ShareError::Twice`], [`ShareError::TooFew`], each naming the share
/// by its place in `shares`, from 1.
pub fn combine(shares: &[Share], id: CeremonyId) -> Result<WrappingKey, ShareError> {
    let mut seen = [false; CUSTODIANS_MAX as usize + 1];
    for (position, share) in (1..).zip(shares) {
        if share.ceremony != id {
            return Err(ShareError::OtherCeremony { position, found: share.ceremony });
        }
        match seen.get_mut(usize::from(share.index)) {
            Some(seen) if !*seen => *seen = true,
            _ => return Err(ShareError::Twice { position, index: share.index }),
        }
    }
    let needed = shares.iter().map(|share| share.threshold).max().unwrap_or(THRESHOLD_MIN);
    if shares.len() < usize::from(needed) {
        return Err(ShareError::TooFew { found: shares.len(), needed });
    }
    let mut points: Vec<Vec<u8>> = shares
        .iter()
        .map(|share| [share.index].into_iter().chain(*share.payload).collect())
        .collect();
    let secret = Gf256::combine_bytes(&points);
    points.iter_mut().for_each(Zeroize::zeroize);
    let secret = Zeroizing::new(secret.map_err(|_| ShareError::Cryptography)?);
    let key = secret.as_slice().try_into().map_err(|_| ShareError::Cryptography)?;
    Ok(WrappingKey::from_bytes(Zeroizing::new(key)))
}

fn hash(domain: &[u8], bytes: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(domain);
    context.update(bytes);
    let mut hash = [0; 32];
    hash.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

/// Hands out given entropy once; what is asked for beyond it is noted, and the result thrown away.
struct Entropy<'e> {
    bytes: &'e [u8],
    dry: bool,
}

impl TryRng for Entropy<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        match self.bytes.split_at_checked(to.len()) {
            Some((taken, rest)) => {
                to.copy_from_slice(taken);
                self.bytes = rest;
            }
            None => self.dry = true,
        }
        Ok(())
    }
}

impl TryCryptoRng for Entropy<'_> {}

/// Why there are no shares, or no key from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareError {
    /// The numbers do not make a split.
    Split {
        /// How many shares were to give the key.
        threshold: u8,
        /// How many shares there were to be.
        custodians: u8,
    },
    /// A character that is none of the alphabet.
    Character {
        /// Its place, from 1, without hyphens and blanks.
        position: usize,
    },
    /// Too few characters or too many.
    Length {
        /// How many there are.
        found: usize,
    },
    /// A slip of the pen: the checksum does not match.
    Checksum,
    /// A form of share that this program does not know.
    Version {
        /// What stands there.
        found: u8,
    },
    /// A place that no custodian has.
    Index {
        /// What stands there.
        found: u8,
    },
    /// The share at this place, from 1, belongs to another ceremony.
    OtherCeremony {
        /// Its place among those given.
        position: usize,
        /// The ceremony that made it.
        found: CeremonyId,
    },
    /// The share at this place, from 1, was given before.
    Twice {
        /// Its place among those given.
        position: usize,
        /// The index of the share.
        index: u8,
    },
    /// Fewer shares than the threshold.
    TooFew {
        /// How many were given.
        found: usize,
        /// How many are needed.
        needed: u8,
    },
    /// The library or the entropy failed.
    Cryptography,
}

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Split { threshold, custodians } => write!(
                f,
                "split key: `{threshold}` of `{custodians}` custodians; the threshold must be \
                 `{THRESHOLD_MIN}` to the number of custodians, and these at most `{CUSTODIANS_MAX}`"
            ),
            Self::Character { position } => write!(
                f,
                "read share: character `{position}` (group `{}`) is none of a share; type it again",
                position.div_ceil(5)
            ),
            Self::Length { found } => write!(
                f,
                "read share: `{found}` characters instead of `{}`; type all sixteen groups",
                SHARE_CHARACTERS
            ),
            Self::Checksum => f.write_str(
                "read share: a character is wrong (the checksum says so); type it again",
            ),
            Self::Version { found } => {
                write!(
                    f,
                    "read share: it is of version `{found}`, which this program does not know"
                )
            }
            Self::Index { found } => write!(f, "read share: no custodian has the place `{found}`"),
            Self::OtherCeremony { position, found } => write!(
                f,
                "combine shares: share `{position}` of those given belongs to ceremony `{found}`"
            ),
            Self::Twice { position, index } => write!(
                f,
                "combine shares: share `{position}` of those given is share `{index}` once more"
            ),
            Self::TooFew { found, needed } => {
                write!(f, "combine shares: `{found}` given, `{needed}` needed; ask more custodians")
            }
            Self::Cryptography => f.write_str("split or combine: the cryptographic module failed"),
        }
    }
}

impl core::error::Error for ShareError {}
