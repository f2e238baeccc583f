//! How long keys live and how long before their end the next one takes over.
//!
//! What counts is the certificate: a key is due once its certificate has no more than the lead of
//! its purpose left.

use std::time::Duration;

use credential::x509::Certificate;
use keys::custody::{Key, State};
use keys::purpose::Purpose;
use vocabulary::time::Instant;

const DAY: Duration = Duration::from_secs(86_400);

/// From when until when the certificate of a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    /// The first moment.
    pub(crate) from: Instant,
    /// The last moment.
    pub(crate) until: Instant,
}

/// The validity of the certificate of `key`, if it has one that can be read.
pub(crate) fn validity(key: &Key) -> Option<Validity> {
    let certificate = Certificate::parse(key.certificate.as_deref()?).ok()?;
    Some(Validity { from: certificate.not_before, until: certificate.not_after })
}

/// How long before the end of its certificate a key of `purpose` is followed by the next.
pub(crate) fn lead(purpose: Purpose) -> Duration {
    match purpose {
        Purpose::CityRoot => DAY * 730,
        Purpose::IssuingAuthority | Purpose::ReaderAuthority => DAY * 365,
        Purpose::StatusList | Purpose::Bundle | Purpose::Checkpoint => DAY * 180,
        Purpose::DocumentSignerMdoc | Purpose::DocumentSignerSdJwt => DAY * 30,
        Purpose::Staff | Purpose::Firmware => DAY * 90,
    }
}

/// When a successor of `key` should take over: none for a key without a certificate, and for one that
/// signs no more.
pub(crate) fn next_rotation(key: &Key) -> Option<Instant> {
    if key.state == State::Retired {
        return None;
    }
    validity(key).map(|validity| validity.until.saturating_sub(lead(key.purpose)))
}

/// The class of keys of `purpose`: what may ever be done with the private half.
pub(crate) const fn class(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::CityRoot => "root, offline",
        Purpose::IssuingAuthority | Purpose::ReaderAuthority => "authority, signs only",
        Purpose::Staff => "personal, signs only",
        _ => "online, signs only",
    }
}
