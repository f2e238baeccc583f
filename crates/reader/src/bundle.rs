//! The trust bundle: what one reader is to know and to do, signed by the city.
//!
//! A CBOR map under COSE_Sign1 (RFC 9052) with `typ` [`BUNDLE_TYP`] and the signer's certificate as
//! `x5chain` (RFC 9360), which must be certified to sign bundles by a root of the city that the
//! reader believes ([`crate::roots`]); layout
//! in `specs/trust-bundle.md`. A bundle is for one reader and carries an epoch that only grows: one
//! below the greatest seen is refused, so that nobody can bring back yesterday's rules. It holds
//! public keys and rules, never a name of a person, and no secret but keys that are wrapped for this
//! reader alone ([`crate::delivery`]).

mod read;

use alloc::format;
use alloc::vec::Vec;

use credential::cbor::Encoder;
use credential::cose::{Sign1, Sign1Parts, sign1};
use credential::crypto::{Algorithm, Crypto, PublicKey};
use credential::rejection::{Culprit, Rejection};
use credential::unsigned::Unsigned;
use credential::x509::{Certificate, Judgement, Profile, TrustAnchors};
use vocabulary::code::{OperatorCode, PlaceCode};
use vocabulary::id::ReaderId;
use vocabulary::text::Line;
use vocabulary::time::Instant;

use crate::express::ExpressDoor;
use crate::roots::{self, Root};
use crate::snapshot::{ClassPolicy, Stale};
use crate::table::{AccessTable, ZoneClass};
use crate::taps::Taps;

/// `typ` of a trust bundle (RFC 9596).
pub const BUNDLE_TYP: &str = "application/limen-bundle+cose";
/// Bytes in a signed bundle: room for its most certificates, each signed by a hybrid root.
pub const BUNDLE_BYTES_MAX: usize = 384 * 1024;
/// Issuing authorities in a bundle.
pub const ISSUERS_MAX: usize = 64;
/// Signers of status lists in a bundle.
pub const STATUS_SIGNERS_MAX: usize = 8;
/// Bytes in the name of a city.
pub const CITY_BYTES_MAX: usize = 64;
/// Key deliveries in a bundle: for each of eight doors a zone key and its successor, and the epoch keys
/// of the epoch at hand and of the next two.
pub const DELIVERIES_MAX: usize = 40;
/// The longest time for which one grant unlocks a door.
pub const UNLOCK_MS_MAX: u32 = 60_000;

const VERSION: u64 = 3;

/// What a bundle says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The name of the city.
    pub city: Line<CITY_BYTES_MAX>,
    /// The reader for which it is made.
    pub reader: ReaderId,
    /// Grows with every bundle of this reader; the first is 1.
    pub epoch: u64,
    /// When it was made, in whole seconds.
    pub issued_at: Instant,
    /// First instant at which it no longer counts, in whole seconds.
    pub expires_at: Instant,
    /// The roots of the city in force, oldest first, at most [`roots::ROOTS_MAX`]; none says nothing of them.
    pub roots: Vec<Root>,
    /// Whose passes are believed, and by which authority or document signer: at most [`ISSUERS_MAX`].
    pub issuers: Vec<Issuer>,
    /// The DER certificates of those who sign status lists: at most [`STATUS_SIGNERS_MAX`]. Theirs,
    /// not those of authorities, which could certify others.
    pub status_signers: Vec<Vec<u8>>,
    /// How fresh the knowledge of a status must be, by class of door.
    pub freshness: Freshness,
    /// For how long a grant unlocks a door, in milliseconds, at most [`UNLOCK_MS_MAX`].
    pub unlock_ms: u32,
    /// What a tap must prove, by class of door.
    pub taps: Taps,
    /// Which products open which doors.
    pub table: AccessTable,
    /// Keys wrapped for this reader, as they came from the vault: at most [`DELIVERIES_MAX`] of at most
    /// [`credential::delivery::DELIVERY_BYTES_MAX`] bytes. A bundle holds whatever they are ([`crate::delivery::take`]).
    pub deliveries: Vec<Vec<u8>>,
}

/// An issuing authority, or a document signer whom documents name instead of carrying its certificate
/// (access documents its key, hybrid mdocs its hash), and the one operator for which it vouches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// The operator.
    pub operator: OperatorCode,
    /// The certificate of the authority (IACA) or of the document signer, DER.
    pub certificate: Vec<u8>,
}

/// A policy for each class of door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// For [`ZoneClass::Low`].
    pub low: ClassPolicy,
    /// For [`ZoneClass::Normal`].
    pub normal: ClassPolicy,
    /// For [`ZoneClass::High`], where [`Stale::Accept`] has no effect.
    pub high: ClassPolicy,
}

impl Freshness {
    /// The policy of a class.
    #[must_use]
    pub const fn of(&self, class: ZoneClass) -> ClassPolicy {
        match class {
            ZoneClass::Low => self.low,
            ZoneClass::Normal => self.normal,
            ZoneClass::High => self.high,
        }
    }
}

impl Bundle {
    /// The bundle, waiting for the signature of the holder of `signer`, a DER certificate of purpose
    /// `BundleSigner` that a root of the city has signed; by the algorithm of its key.
    #[must_use]
    pub fn unsigned(&self, signer: &[u8]) -> Unsigned<Vec<u8>> {
        let mut payload = Encoder::with_capacity(4096);
        self.write(&mut payload);
        let parts = Sign1Parts {
            payload: payload.as_bytes(),
            x5chain: &[signer],
            typ: Some(BUNDLE_TYP),
            tagged: true,
            ..Default::default()
        };
        // With a certificate that cannot be read nobody takes the bundle, whatever it names.
        let key = Certificate::parse(signer).map(|certificate| certificate.public_key);
        sign1(key.map_or(Algorithm::Es256, |key| key.algorithm()), &parts)
    }

    fn write(&self, encoder: &mut Encoder) {
        encoder.map(14).text("version").unsigned(VERSION);
        encoder.text("city").text(self.city.as_str());
        encoder.text("reader").bytes(self.reader.as_bytes());
        encoder.text("epoch").unsigned(self.epoch);
        encoder.text("issued_at").integer(self.issued_at.unix_seconds());
        encoder.text("expires_at").integer(self.expires_at.unix_seconds());
        encoder.text("roots").array(self.roots.len());
        for root in &self.roots {
            encoder.array(2).bytes(&root.certificate);
            match &root.link {
                Some(link) => encoder.bytes(link),
                None => encoder.null(),
            };
        }
        encoder.text("issuers").array(self.issuers.len());
        for issuer in &self.issuers {
            encoder.array(2).text(issuer.operator.as_str()).bytes(&issuer.certificate);
        }
        encoder.text("status_signers").array(self.status_signers.len());
        for signer in &self.status_signers {
            encoder.bytes(signer);
        }
        encoder.text("freshness").array(ZoneClass::ALL.len());
        for class in ZoneClass::ALL {
            let ClassPolicy { status_age_max, stale } = self.freshness.of(class);
            encoder.array(2).unsigned(status_age_max.as_secs()).bool(stale == Stale::Accept);
        }
        encoder.text("unlock_ms").unsigned(self.unlock_ms.into());
        encoder.text("taps");
        self.taps.write(encoder);
        encoder.text("table");
        self.table.write(encoder);
        encoder.text("deliveries").array(self.deliveries.len());
        for delivery in &self.deliveries {
            encoder.bytes(delivery);
        }
    }
}

/// A bundle that holds for one reader. Made by [`VerifiedBundle::verify`] only.
#[derive(Debug)]
pub struct VerifiedBundle {
    bundle: Bundle,
    bytes: Vec<u8>,
    signer_since: Instant,
    roots: TrustAnchors,
    issuers: TrustAnchors,
    by_operator: Vec<(OperatorCode, TrustAnchors)>,
    status_signers: TrustAnchors,
    express: Vec<ExpressDoor>,
    access: Vec<AccessIssuer>,
    access_keys: Vec<PublicKey>,
}

/// A document signer whose access documents are believed, which name its key and do not carry its
/// certificate.
#[derive(Debug)]
pub(crate) struct AccessIssuer {
    operator: OperatorCode,
    key: PublicKey,
    /// DER.
    pub(crate) certificate: Vec<u8>,
    not_before: Instant,
    not_after: Instant,
}

/// By what a bundle is judged.
#[derive(Clone, Copy)]
pub struct Pin<'p> {
    /// The roots of the city that the reader believes, oldest first: at the beginning the one that it
    /// was given when it was enrolled.
    pub root: &'p TrustAnchors,
    /// The reader itself.
    pub reader: ReaderId,
    /// The greatest epoch that the reader has seen.
    pub epoch: u64,
    /// The instant of judgement.
    pub at: Instant,
}

impl VerifiedBundle {
    /// Verifies a signed bundle: signature, way to the root, `typ`, reader, epoch, dates, content.
    ///
    /// The certificate of its signer is judged at the instant at which the bundle was made, or
    /// later: a bundle of the future moves the reader's time, it is not refused for it.
    ///
    /// # Errors
    /// [`Rejection`] for the first rule that does not hold.
    pub fn verify(crypto: &dyn Crypto, bytes: &[u8], pin: &Pin<'_>) -> Result<Self, Rejection> {
        if bytes.len() > BUNDLE_BYTES_MAX {
            return Err(form(&format!("is longer than {BUNDLE_BYTES_MAX} bytes")));
        }
        let message = Sign1::parse(bytes)?;
        let payload = message.payload.ok_or_else(|| form("has no payload"))?;
        // Only the date is used before the signature holds, and only to find whether it holds.
        let claimed = Bundle::read(payload)?;
        let at = pin.at.max(claimed.issued_at);
        // A link is signed by a root and needs no word of the bundle's signer.
        let roots = roots::follow(crypto, pin.root, &claimed.roots, at)?;
        let judgement = Judgement { crypto, anchors: &roots, at, profile: Profile::BundleSigner };
        // A root itself certifies the signer. With room for more, an operator's issuing authority
        // could certify one, too, and give orders to every reader of the city.
        let chain = message.unprotected.x5chain;
        if chain.certificates().len() != 1 {
            return Err(form("does not carry its signer's certificate alone"));
        }
        let signer = judgement.signer(chain.certificates(), None)?;
        signer.demand_suite_of_anchor()?;
        let signer_since = signer.certificate().not_before;
        message.verify(crypto, signer.key(), None, &[], Culprit::Issuer)?;
        if message.protected.typ != Some(BUNDLE_TYP) {
            return Err(Rejection::issuer("typ", format!("bundle is not of type `{BUNDLE_TYP}`")));
        }
        claimed.check(pin, at)?;
        let issuers = claimed.issuers.iter().map(|issuer| issuer.certificate.as_slice());
        let signers = claimed.status_signers.iter().map(Vec::as_slice);
        if signers.clone().any(is_authority) {
            return Err(form("names an authority as signer of status lists"));
        }
        // What a city still publishes from before it became stronger is not refused, but not believed.
        let signers = signers.filter(|der| is_as_strong_as(der, signer.anchor()));
        let access: Vec<_> = claimed.issuers.iter().filter_map(AccessIssuer::of).collect();
        Ok(Self {
            access_keys: access.iter().map(|issuer| issuer.key.clone()).collect(),
            access,
            issuers: with_signers(crypto, anchors(issuers)?),
            by_operator: by_operator(&claimed.issuers)?,
            status_signers: anchors(signers)?,
            express: claimed
                .table
                .doors()
                .iter()
                .map(|door| ExpressDoor::new(crypto, door))
                .collect(),
            bundle: claimed,
            bytes: bytes.to_vec(),
            roots,
            signer_since,
        })
    }

    /// What it says.
    #[must_use]
    pub const fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The signed bytes, for storing them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Since when its signer is certified. The next bundle is of the same signer or a later one.
    #[must_use]
    pub const fn signer_since(&self) -> Instant {
        self.signer_since
    }

    /// The roots of the city that the reader believes from now on, oldest first.
    #[must_use]
    pub const fn roots(&self) -> &TrustAnchors {
        &self.roots
    }

    /// The authorities of all operators.
    #[must_use]
    pub const fn issuers(&self) -> &TrustAnchors {
        &self.issuers
    }

    /// The authorities of one operator: nobody else vouches for its passes.
    #[must_use]
    pub fn issuers_of(&self, operator: &OperatorCode) -> Option<&TrustAnchors> {
        self.by_operator.iter().find(|(code, _)| code == operator).map(|(_, anchors)| anchors)
    }

    /// The keys of all who sign access documents.
    #[must_use]
    pub(crate) fn access_keys(&self) -> &[PublicKey] {
        &self.access_keys
    }

    /// The signers of access documents of an operator that have this key.
    pub(crate) fn access_issuers(
        &self,
        operator: &OperatorCode,
        key: &PublicKey,
    ) -> impl Iterator<Item = &AccessIssuer> {
        self.access.iter().filter(move |it| it.operator == *operator && it.key == *key)
    }

    /// A door as express taps see it.
    pub(crate) fn express_door(&self, place: &PlaceCode) -> Option<&ExpressDoor> {
        let doors = self.bundle.table.doors().iter().zip(&self.express);
        doors.into_iter().find(|(door, _)| door.place() == place).map(|(_, express)| express)
    }

    /// Whom the reader believes about the status of passes: signers with a key as strong as the root.
    #[must_use]
    pub const fn status_signers(&self) -> &TrustAnchors {
        &self.status_signers
    }
}

impl AccessIssuer {
    /// An issuer of the bundle, if it is a document signer on P-256.
    fn of(issuer: &Issuer) -> Option<Self> {
        let certificate = Certificate::parse(&issuer.certificate).ok()?;
        Profile::DocumentSigner.check_leaf(&certificate).ok()?;
        let Certificate { not_before, not_after, public_key: key, .. } = certificate;
        matches!(key, PublicKey::P256(_)).then(|| Self {
            operator: issuer.operator.clone(),
            key,
            certificate: issuer.certificate.clone(),
            not_before,
            not_after,
        })
    }

    /// Whether it was certified at `at`.
    pub(crate) fn is_current(&self, at: Instant) -> bool {
        self.not_before <= at && at.floor_to_second() <= self.not_after
    }
}

impl Bundle {
    fn check(&self, pin: &Pin<'_>, at: Instant) -> Result<(), Rejection> {
        if self.reader != pin.reader {
            let message = format!("bundle is for `{}`, not for this reader", self.reader);
            return Err(Rejection::wire("bundle-reader", message));
        }
        if self.epoch < pin.epoch || self.epoch == 0 {
            let message =
                format!("bundle is of epoch {}, the reader has seen {}", self.epoch, pin.epoch);
            return Err(Rejection::time("bundle-epoch", message));
        }
        if self.expires_at <= at {
            let message = format!("bundle expired at {}", self.expires_at);
            return Err(Rejection::time("bundle-expired", message));
        }
        Ok(())
    }
}

fn is_authority(der: &[u8]) -> bool {
    Certificate::parse(der).is_ok_and(|certificate| certificate.is_authority())
}

/// False only for a certificate that can be read: what cannot is refused where it is used.
fn is_as_strong_as(der: &[u8], root: Algorithm) -> bool {
    let key = Certificate::parse(der).map(|certificate| certificate.public_key);
    key.map_or(true, |key| key.algorithm().is_as_strong_as(root))
}

fn by_operator(issuers: &[Issuer]) -> Result<Vec<(OperatorCode, TrustAnchors)>, Rejection> {
    let mut found: Vec<(OperatorCode, TrustAnchors)> = Vec::new();
    for Issuer { operator, .. } in issuers {
        if !found.iter().any(|(code, _)| code == operator) {
            let own = issuers.iter().filter(|issuer| issuer.operator == *operator);
            let own = anchors(own.map(|issuer| issuer.certificate.as_slice()))?;
            found.push((operator.clone(), own));
        }
    }
    Ok(found)
}

/// Anchors that know the hashes by which documents name their signers.
fn with_signers(crypto: &dyn Crypto, mut anchors: TrustAnchors) -> TrustAnchors {
    anchors.hash_document_signers(crypto);
    anchors
}

fn anchors<'d>(ders: impl Iterator<Item = &'d [u8]>) -> Result<TrustAnchors, Rejection> {
    TrustAnchors::from_ders(ders)
        .map_err(|error| form(&format!("holds an unusable certificate: {error}")))
}

fn form(what: &str) -> Rejection {
    Rejection::wire("bundle-form", format!("trust bundle {what}"))
}
