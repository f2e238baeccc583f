//! Restoring a root from its backup and the shares of custodians, onto another token or file.
//!
//! The transcript says which backup and which shares are the real ones, so that a forged share is named
//! with its custodian. Without a transcript the check value alone tells that the shares do not fit.

use core::fmt;

use credential::aws_lc::AwsLc;
use credential::crypto::Crypto;
use credential::x509::Certificate;
use vocabulary::time::Instant;

use super::approval::PersonName;
use super::backup::Backup;
use super::certificate::{CertifyError, prove_root};
use super::plan::City;
use super::seat::{RootSeat, SeatError, WrappedRoot};
use super::shares::{CeremonyId, Share, ShareError, combine};
use super::transcript::verify::Verified;
use super::wrapping::{CheckValue, WrapError, WrappingKey};
use crate::custody::{KeepError, Key, State};

/// Puts the shares together and checks that they make the key of `backup`.
///
/// # Errors
/// [`RestoreError`] naming the share or the custodian.
pub fn open_shares(
    backup: &Backup,
    bytes: &[u8],
    transcript: &Verified,
    shares: &[Share],
) -> Result<WrappingKey, RestoreError> {
    if AwsLc.sha256(bytes) != transcript.backup_digest {
        return Err(RestoreError::OtherBackup { ceremony: transcript.ceremony });
    }
    for (position, share) in (1..).zip(shares) {
        if share.ceremony() != transcript.ceremony {
            let found = share.ceremony();
            return Err(RestoreError::Share(ShareError::OtherCeremony { position, found }));
        }
        let holder = transcript.custodians.get(usize::from(share.index()).saturating_sub(1));
        let holder = holder.ok_or(RestoreError::NoHolder { position, index: share.index() })?;
        if holder.commitment != share.commitment() {
            return Err(RestoreError::Forged { position, custodian: holder.name.clone() });
        }
    }
    let key = combine(shares, transcript.ceremony).map_err(RestoreError::Share)?;
    let found = key.check_value().map_err(RestoreError::Wrap)?;
    if found != backup.check_value {
        return Err(RestoreError::CheckValue { found, expected: backup.check_value });
    }
    Ok(key)
}

/// Takes the root of `backup` to `seat` and proves that it signs there.
///
/// # Errors
/// [`RestoreError`]; a root that was taken there and does not sign is destroyed.
pub async fn restore(
    seat: &dyn RootSeat,
    backup: &Backup,
    key: WrappingKey,
    now: Instant,
) -> Result<Key, RestoreError> {
    let city = city_of(&backup.certificate).ok_or(RestoreError::Certificate)?;
    let root = WrappedRoot {
        wrapped: &backup.wrapped,
        public_key: &backup.public_key,
        suite: backup.suite,
        at: now,
    };
    let restored = seat.unwrap_root(&root, &key).await.map_err(RestoreError::Seat)?;
    drop(key);
    let settled = settle(seat, &restored, backup, &city, now).await;
    if settled.is_err() && seat.set_state(&restored.handle, State::Retired, now).await.is_ok() {
        // If this fails too, the key is listed as retired, and signs nothing.
        let _ = seat.destroy(&restored.handle).await;
    }
    settled
}

async fn settle(
    seat: &dyn RootSeat,
    restored: &Key,
    backup: &Backup,
    city: &City,
    now: Instant,
) -> Result<Key, RestoreError> {
    let kept = seat.attach_certificate(&restored.handle, &backup.certificate).await;
    let kept = kept.map_err(RestoreError::Keep)?;
    prove_root(seat, &kept, city, now).await.map_err(RestoreError::Proof)?;
    Ok(kept)
}

/// What the certificate of a root says of its city.
fn city_of(certificate: &[u8]) -> Option<City> {
    let certificate = Certificate::parse(certificate).ok()?;
    let name = certificate.subject.common_name()?;
    Some(City {
        name: name.strip_suffix(" root").unwrap_or(name).to_owned(),
        country: certificate.subject.country()?.to_owned(),
        // The proof is thrown away: it need not lead anywhere.
        public_url: String::from("urn:limen:proof-of-possession"),
    })
}

/// Why a root was not restored.
#[derive(Debug)]
pub enum RestoreError {
    /// The backup is not the one of which the transcript tells.
    OtherBackup {
        /// The ceremony of the transcript.
        ceremony: CeremonyId,
    },
    /// A share cannot be used.
    Share(ShareError),
    /// Nobody in the transcript has a share of this place.
    NoHolder {
        /// Its place among those given, from 1.
        position: usize,
        /// What it says of itself.
        index: u8,
    },
    /// The share is not the one that this custodian was given.
    Forged {
        /// Its place among those given, from 1.
        position: usize,
        /// Whose it claims to be.
        custodian: PersonName,
    },
    /// The shares make another key.
    CheckValue {
        /// Of the key that they make.
        found: CheckValue,
        /// Of the key that wraps the backup.
        expected: CheckValue,
    },
    /// The certificate in the backup cannot be read.
    Certificate,
    /// The cipher failed.
    Wrap(WrapError),
    /// The new custodian did not take the root.
    Seat(SeatError),
    /// The new custodian did not keep the certificate.
    Keep(KeepError),
    /// The root does not sign at its new place.
    Proof(CertifyError),
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("restore root: ")?;
        match self {
            Self::OtherBackup { ceremony } => {
                write!(f, "this is not the backup that ceremony `{ceremony}` made")
            }
            Self::Share(error) => write!(f, "{error}"),
            Self::NoHolder { position, index } => {
                write!(
                    f,
                    "share `{position}` says that it is share `{index}`, which nobody was given"
                )
            }
            Self::Forged { position, custodian } => write!(
                f,
                "share `{position}` is not the one that `{custodian}` was given: it is forged or of \
                 another split"
            ),
            Self::CheckValue { found, expected } => write!(
                f,
                "the shares make a key with check value `{found}`, the backup needs `{expected}`"
            ),
            Self::Certificate => f.write_str("the backup holds no certificate of a root"),
            Self::Wrap(error) => write!(f, "{error}"),
            Self::Seat(error) => write!(f, "{error}"),
            Self::Keep(error) => write!(f, "{error}"),
            Self::Proof(error) => write!(f, "the root does not sign at its new place: {error}"),
        }
    }
}

impl core::error::Error for RestoreError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Seat(source) => source.source(),
            Self::Keep(source) => source.source(),
            _ => None,
        }
    }
}
