//! Draws up one document, mdoc, SD-JWT VC or access document, so that it waits for its signature only.
//!
//! What a document says is the rights of its pass and nothing about its person: who holds the
//! device key holds the pass.

use core::fmt;
use core::time::Duration;

use credential::access_document;
use credential::crypto::{Algorithm, Crypto, HashAlgorithm, PublicKey};
use credential::jose::{HeaderParts, base64url};
use credential::mdoc::{ENTROPY_BYTES_PER_ELEMENT, IssueRequest, NameSpace, Validity};
use credential::rejection::Rejection;
use credential::rights::{NAME_SPACE, Rights, RightsError};
use credential::sd_jwt::{CREDENTIAL_TYP, CredentialRequest, Salt};
use credential::status::StatusReference;
use credential::unsigned::Unsigned;
use credential::x509::Certificate;
use vocabulary::time::Instant;

use crate::entropy::Entropy;
use crate::issuer::Issuer;
use crate::pass::Pass;
use crate::product::{Bearer, Format, Product};

/// When a document is valid, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    /// When it is signed.
    pub signed: Instant,
    /// First moment of validity.
    pub valid_from: Instant,
    /// First moment at which it is no longer valid.
    pub valid_until: Instant,
}

impl Dates {
    /// From now, or from when the pass holds, for the life of a document of `product`; never
    /// longer than the pass or the certificate of the signer.
    ///
    /// # Errors
    /// [`PaperError::Signer`] when the signer's certificate is unreadable or not valid now,
    /// [`PaperError::Dates`] when no second of validity is left.
    pub fn of(
        pass: &Pass,
        product: &Product,
        chain: &[&[u8]],
        now: Instant,
    ) -> Result<Self, PaperError> {
        let leaf = chain.first().and_then(|leaf| Certificate::parse(leaf).ok());
        let leaf = leaf.ok_or(PaperError::Signer)?;
        let signed = now.floor_to_second();
        if signed < leaf.not_before || signed > leaf.not_after {
            return Err(PaperError::Signer);
        }
        let valid_from = signed.max(pass.valid_from.floor_to_second());
        let valid_until = valid_from.saturating_add(product.terms.document_life);
        let valid_until = valid_until.min(pass.valid_until).min(leaf.not_after).floor_to_second();
        if valid_until <= valid_from {
            return Err(PaperError::Dates);
        }
        Ok(Self { signed, valid_from, valid_until })
    }

    fn validity(self) -> Validity {
        Validity {
            signed: self.signed,
            valid_from: self.valid_from,
            valid_until: last_second(self.valid_until),
            expected_update: None,
        }
    }
}

/// What goes into one document.
pub(crate) struct Paper<'a> {
    pub(crate) issuer: &'a Issuer,
    pub(crate) pass: &'a Pass,
    pub(crate) product: &'a Product,
    pub(crate) key: &'a PublicKey,
    pub(crate) dates: Dates,
    pub(crate) status_uri: &'a str,
    pub(crate) status_index: u64,
    pub(crate) chain: &'a [&'a [u8]],
}

impl<'a> Paper<'a> {
    const fn status(&self) -> StatusReference<'a> {
        StatusReference { uri: self.status_uri, index: self.status_index }
    }

    fn signer(&self) -> Result<PublicKey, PaperError> {
        signer_of(self.chain).ok_or(PaperError::Signer)
    }
}

/// The key of the signer whose certificates these are, leaf first.
pub(crate) fn signer_of(chain: &[&[u8]]) -> Option<PublicKey> {
    let leaf = chain.first().and_then(|leaf| Certificate::parse(leaf).ok());
    leaf.map(|leaf| leaf.public_key)
}

/// The document, waiting for its signature. Completed, it is the text of a `credential` member:
/// IssuerSigned in base64url (OpenID4VCI 1.0, A.2.4), in its compact encoding for an access document,
/// or a compact SD-JWT (A.3.4).
pub(crate) fn draw_up(
    crypto: &dyn Crypto,
    paper: &Paper<'_>,
    format: Format,
    entropy: &mut Entropy,
) -> Result<Unsigned<String>, PaperError> {
    let rights = rights_of(paper.pass, paper.product);
    match format {
        Format::Mdoc => mdoc(crypto, paper, &rights, entropy),
        Format::SdJwt => sd_jwt(crypto, paper, &rights, entropy),
        Format::AccessDocument => access_document(crypto, paper, &rights, entropy),
    }
}

/// The formats in which `issuer` gives passes of `product` now, `signer` being the algorithm of its
/// signer of mdocs: those of the product, but access documents where an ES256 signer is there and the
/// claims have room.
#[must_use]
pub fn formats_of(issuer: &Issuer, product: &Product, signer: Option<Algorithm>) -> Vec<Format> {
    let is_given = |format: &Format| match format {
        Format::Mdoc | Format::SdJwt => true,
        Format::AccessDocument => {
            signer == Some(Algorithm::Es256) && fits_access_document(issuer, product)
        }
    };
    product.terms.formats.iter().copied().filter(is_given).collect()
}

/// Whether an access document has room for the claims, whatever the dates and the status.
fn fits_access_document(issuer: &Issuer, product: &Product) -> bool {
    let day = Instant::from_unix_seconds(0);
    let status = StatusReference { uri: &issuer.status_uri(u32::MAX), index: u32::MAX.into() };
    access_document::pass::value(&rights(product, day, day), Some(status)).is_ok()
}

/// The rights of `pass`: those of its product, for its own period.
#[must_use]
pub fn rights_of(pass: &Pass, product: &Product) -> Rights {
    let valid_until = last_second(pass.valid_until.floor_to_second()).max(pass.valid_from);
    rights(product, pass.valid_from.floor_to_second(), valid_until)
}

fn rights(product: &Product, valid_from: Instant, valid_until: Instant) -> Rights {
    let template = &product.terms.rights;
    Rights {
        operator: product.operator.clone(),
        product: product.code.clone(),
        class: template.class.clone(),
        zones: template.zones.clone(),
        places: template.places.clone(),
        recurrence: template.recurrence,
        valid_from,
        valid_until,
        uses_max: template.uses_max,
        holder_only: template.bearer == Bearer::HolderOnly,
    }
}

/// Documents and rights name the last second of validity, the city the first one after it.
fn last_second(end: Instant) -> Instant {
    end.saturating_sub(Duration::from_secs(1))
}

fn mdoc(
    crypto: &dyn Crypto,
    paper: &Paper<'_>,
    rights: &Rights,
    entropy: &mut Entropy,
) -> Result<Unsigned<String>, PaperError> {
    let owned = rights.to_elements().map_err(PaperError::Rights)?;
    let elements: Vec<(&str, &[u8])> =
        owned.iter().map(|(name, value)| (*name, &value[..])).collect();
    let request = IssueRequest {
        doc_type: &paper.product.terms.doc_type,
        name_spaces: &[NameSpace { name: NAME_SPACE, elements: &elements }],
        device_key: paper.key,
        authorized_name_spaces: &[],
        validity: paper.dates.validity(),
        status: Some(paper.status()),
    };
    let entropy = entropy.vec(elements.len().saturating_mul(ENTROPY_BYTES_PER_ELEMENT));
    let unsigned = credential::mdoc::issue(crypto, &request, paper.chain, &entropy)
        .map_err(PaperError::Mdoc)?;
    Ok(unsigned.map(|signed| base64url::encode(signed.as_bytes())))
}

fn sd_jwt(
    crypto: &dyn Crypto,
    paper: &Paper<'_>,
    rights: &Rights,
    entropy: &mut Entropy,
) -> Result<Unsigned<String>, PaperError> {
    let algorithm = paper.signer()?.algorithm();
    let claims = rights.to_claims().map_err(PaperError::Rights)?;
    let pointers: Vec<String> = claims.keys().map(|name| format!("/{name}")).collect();
    let concealed: Vec<&str> = pointers.iter().map(String::as_str).collect();
    let salts: Vec<Salt> = concealed.iter().map(|_| entropy.bytes()).collect();
    let request = CredentialRequest {
        header: HeaderParts { x5c: paper.chain, ..HeaderParts::new(algorithm, CREDENTIAL_TYP) },
        vct: &paper.product.terms.vct,
        issuer: Some(paper.issuer.identifier()),
        issued_at: paper.dates.signed,
        not_before: Some(paper.dates.valid_from),
        expires_at: Some(paper.dates.valid_until),
        holder_key: Some(paper.key),
        status: Some(paper.status()),
        claims,
        concealed: &concealed,
        decoys: &[],
        hash: HashAlgorithm::Sha256,
        salts: &salts,
    };
    let unsigned = request.issue(crypto).map_err(PaperError::SdJwt)?;
    Ok(unsigned.map(|signed| signed.into_string()))
}

/// The same claims as one element; it names the signer's key, and no certificate.
fn access_document(
    crypto: &dyn Crypto,
    paper: &Paper<'_>,
    rights: &Rights,
    entropy: &mut Entropy,
) -> Result<Unsigned<String>, PaperError> {
    let value = access_document::pass::value(rights, Some(paper.status()));
    let value = value.map_err(|rejection| PaperError::Claims(Box::new(rejection)))?;
    let request = access_document::IssueRequest {
        device_key: Some(paper.key),
        elements: &[(access_document::pass::ELEMENT, &value)],
        validity: paper.dates.validity(),
        needs_clock: true,
    };
    let entropy = entropy.vec(ENTROPY_BYTES_PER_ELEMENT);
    let unsigned = access_document::issue(crypto, &request, &paper.signer()?, &entropy);
    let unsigned = unsigned.map_err(PaperError::AccessDocument)?;
    Ok(unsigned.map(|signed| base64url::encode(signed.as_bytes())))
}

/// Why a document is not drawn up. Each is a fault of the city, not of the wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaperError {
    /// The signer's certificate is missing, unreadable or not valid now.
    Signer,
    /// No second of validity is left.
    Dates,
    /// The rights of the pass are not ones that a document can carry.
    Rights(RightsError),
    /// An access document has no room for the claims of the pass.
    Claims(Box<Rejection>),
    /// The access document cannot be made.
    AccessDocument(credential::mdoc::IssueError),
    /// The mdoc cannot be made.
    Mdoc(credential::mdoc::IssueError),
    /// The SD-JWT VC cannot be made.
    SdJwt(credential::sd_jwt::IssueError),
}

impl fmt::Display for PaperError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signer => "the certificate of the document signer is not usable now",
            Self::Dates => "the document would have expired when it is issued",
            Self::Rights(error) => return write!(f, "{error}"),
            Self::Claims(rejection) => return write!(f, "{rejection}"),
            Self::Mdoc(error) | Self::AccessDocument(error) => return write!(f, "{error}"),
            Self::SdJwt(error) => return write!(f, "{error}"),
        })
    }
}

impl core::error::Error for PaperError {}
