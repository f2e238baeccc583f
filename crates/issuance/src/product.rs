//! Products: the templates of passes, as data. A new product needs no new code.
//!
//! A product says what its documents look like, which rights they carry, how long they live and
//! what a wallet must prove to get them. Products are versioned; a pass names the version from
//! which it was issued, and a change of a product never reaches passes that exist.

use core::fmt;
use core::time::Duration;

use credential::rights::{PLACES_MAX, Recurrence, ZONES_MAX};
use policy::action::Action;
use policy::authorize::{Permit, WrongPermit};
use vocabulary::code::{ClassCode, OperatorCode, PlaceCode, ProductCode, ZoneCode};
use vocabulary::time::Instant;

use crate::change::Change;
use crate::names::names;

/// Languages in which a product has a display name.
pub const DISPLAYS_MAX: usize = 16;
/// Bytes in a display name.
pub const NAME_BYTES_MAX: usize = 100;
/// Bytes in a description.
pub const DESCRIPTION_BYTES_MAX: usize = 300;
/// Bytes in a language tag (BCP 47).
pub const LANGUAGE_BYTES_MAX: usize = 35;
/// Bytes in a document type or an SD-JWT VC type.
pub const TYPE_BYTES_MAX: usize = 128;
/// Documents of one format that one offer yields, each for a device key of its own.
pub const BATCH_MAX: u16 = 32;
/// Handles of one pass, zone and epoch where a product says nothing.
pub const HANDLES_DEFAULT: u16 = 32;
/// Handles of one pass, zone and epoch at the most; the key service makes no more.
pub const HANDLES_MAX: u16 = 64;
/// The longest period of a pass: ten years of 366 days.
pub const PASS_PERIOD_MAX: Duration = Duration::from_secs(10 * 366 * 86_400);
/// The shortest life of a document.
pub const DOCUMENT_LIFE_MIN: Duration = Duration::from_secs(60);

/// A product of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// The operator, which is the tenant.
    pub operator: OperatorCode,
    /// Its code, unique within the operator, never reused.
    pub code: ProductCode,
    /// What may change from version to version.
    pub terms: Terms,
    /// When this version was made.
    pub changed_at: Instant,
    /// 1 when created, one more with every update.
    pub version: u32,
}

/// What a product is: everything but its name and history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Names for people; at least one, one per language.
    pub display: Vec<Display>,
    /// What is at stake; decides how strictly a wallet is asked.
    pub stake: Stake,
    /// The mdoc document type.
    pub doc_type: String,
    /// The SD-JWT VC type.
    pub vct: String,
    /// The formats on offer, as far as [`crate::paper::formats_of`] says; at least one, none twice.
    pub formats: Vec<Format>,
    /// The rights that its passes carry.
    pub rights: RightsTemplate,
    /// The longest period that a pass may have.
    pub pass_period_max: Duration,
    /// How long a document lives; after that a wallet needs a new offer of its pass.
    pub document_life: Duration,
    /// Documents of one format that one offer yields.
    pub batch_max: u16,
    /// Handles of the express tap for one pass, zone and epoch: what is at risk with a copied wallet.
    /// None at all, if zero.
    pub handles_max: u16,
    /// What must be attested of the keys of a wallet.
    pub attestation_min: AttestationLevel,
    /// Whether an offer asks for a transaction code.
    pub transaction_code: TransactionCode,
}

/// A name for people in one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Display {
    /// A BCP 47 tag: `en`, `de-CH`.
    pub language: String,
    /// The name.
    pub name: String,
    /// One sentence more, or empty.
    pub description: String,
}

/// What is at stake with a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stake {
    /// A ticket: an access token may be a bearer token.
    Low,
    /// A badge or an identity: every access token is bound to a key (DPoP).
    High,
}

names!(Stake { Low = "low", High = "high" });

/// A credential format: of OpenID4VCI 1.0, appendix A, or our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// ISO/IEC 18013-5 mdoc (appendix A.2).
    Mdoc,
    /// SD-JWT VC (appendix A.3).
    SdJwt,
    /// An access document of the standard tap (`specs/city-pass.md`).
    AccessDocument,
}

names!(Format {
    Mdoc = "mso_mdoc",
    SdJwt = "dc+sd-jwt",
    AccessDocument = "limen-access-document",
});

/// Whether an offer asks for a transaction code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionCode {
    /// The offer alone suffices.
    NotRequired,
    /// Six digits, told over another channel.
    Required,
}

names!(TransactionCode { NotRequired = "not-required", Required = "required" });

/// What is attested of the storage of a device key, weakest first (OpenID4VCI 1.0, appendix D.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttestationLevel {
    /// Nothing is said.
    None,
    /// The wallet says that its keys are in software.
    Software,
    /// ISO 18045 attack potential basic.
    Basic,
    /// ISO 18045 attack potential enhanced-basic.
    EnhancedBasic,
    /// ISO 18045 attack potential moderate.
    Moderate,
    /// ISO 18045 attack potential high.
    High,
}

names!(AttestationLevel {
    None = "none",
    Software = "urn:limen:key-storage:software",
    Basic = "iso_18045_basic",
    EnhancedBasic = "iso_18045_enhanced-basic",
    Moderate = "iso_18045_moderate",
    High = "iso_18045_high",
});

impl Terms {
    /// What must be attested of how a device makes sure of its user: for passes of their holder
    /// alone as much as of the keys, once somebody else than the wallet must vouch for those.
    #[must_use]
    pub fn user_authentication_min(&self) -> AttestationLevel {
        let is_vouched_for = self.attestation_min > AttestationLevel::Software;
        if self.rights.bearer == Bearer::HolderOnly && is_vouched_for {
            self.attestation_min
        } else {
            AttestationLevel::None
        }
    }
}

/// The rights of a product's passes, before person and period are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RightsTemplate {
    /// Class of service.
    pub class: Option<ClassCode>,
    /// Zones in which they hold.
    pub zones: Vec<ZoneCode>,
    /// Places that they open.
    pub places: Vec<PlaceCode>,
    /// On which days and hours they hold; always when absent.
    pub recurrence: Option<Recurrence>,
    /// How many times they may be used; without limit when absent.
    pub uses_max: Option<u32>,
    /// Whether they may ever be lent.
    pub bearer: Bearer,
}

/// Who may use a right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bearer {
    /// Its holder, or somebody to whom it is lent.
    #[default]
    Anyone,
    /// Its holder alone, present in person. The wallet sees to that; a reader cannot.
    HolderOnly,
}

names!(Bearer { Anyone = "anyone", HolderOnly = "holder-only" });

/// Creates version 1 of a product.
///
/// # Errors
/// [`ProductRefusal`] when the permit is for something else, the code is taken or terms are amiss.
pub fn create_product(
    permit: &Permit,
    existing: Option<&Product>,
    code: ProductCode,
    terms: Terms,
    now: Instant,
) -> Result<Vec<Change>, ProductRefusal> {
    let operator = permit.operator().clone();
    permit.covers(Action::ProductAdd, &operator).map_err(ProductRefusal::Permit)?;
    if existing.is_some() {
        return Err(ProductRefusal::Exists);
    }
    check(&terms)?;
    Ok(vec![Change::Product(Product { operator, code, terms, changed_at: now, version: 1 })])
}

/// Makes the next version of `product`. Passes that exist keep the version that they name.
///
/// # Errors
/// [`ProductRefusal`] when the permit is for something else or terms are amiss.
pub fn update_product(
    permit: &Permit,
    product: &Product,
    terms: Terms,
    now: Instant,
) -> Result<Vec<Change>, ProductRefusal> {
    permit.covers(Action::ProductAdd, &product.operator).map_err(ProductRefusal::Permit)?;
    check(&terms)?;
    let version = product.version.checked_add(1).ok_or(ProductRefusal::TooManyVersions)?;
    Ok(vec![Change::Product(Product { terms, changed_at: now, version, ..product.clone() })])
}

/// Why a product is not created or updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProductRefusal {
    /// The permit is for another deed or operator.
    Permit(WrongPermit),
    /// The code is taken.
    Exists,
    /// A field of the terms is out of its limits.
    Terms(Term),
    /// The version counter is exhausted.
    TooManyVersions,
}

/// A field of [`Terms`] that can be amiss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// No display, too many, a language twice, or a text out of its limits.
    Display,
    /// A document type or SD-JWT VC type is empty or too long.
    Type,
    /// No format, or one twice.
    Formats,
    /// Too many zones or places, or one twice.
    Rights,
    /// Zero uses.
    Uses,
    /// A period of zero or longer than [`PASS_PERIOD_MAX`].
    PassPeriod,
    /// A document life shorter than [`DOCUMENT_LIFE_MIN`] or longer than the period.
    DocumentLife,
    /// A batch of zero or more than [`BATCH_MAX`].
    Batch,
    /// More handles than [`HANDLES_MAX`].
    Handles,
}

names!(Term {
    Display = "display",
    Type = "type",
    Formats = "formats",
    Rights = "rights",
    Uses = "uses-max",
    PassPeriod = "pass-period-max",
    DocumentLife = "document-life",
    Batch = "batch-max",
    Handles = "handles-max",
});

impl ProductRefusal {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Permit(_) => "wrong-permit",
            Self::Exists => "product-exists",
            Self::Terms(_) => "product-terms",
            Self::TooManyVersions => "product-versions",
        }
    }
}

impl fmt::Display for ProductRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permit(wrong) => write!(f, "{wrong}"),
            Self::Exists => f.write_str("a product with this code exists"),
            Self::Terms(term) => {
                write!(f, "the term `{}` of the product is out of its limits", term.as_str())
            }
            Self::TooManyVersions => f.write_str("the product has no version left"),
        }
    }
}

impl core::error::Error for ProductRefusal {}

fn check(terms: &Terms) -> Result<(), ProductRefusal> {
    let checks = [
        (Term::Display, displays_are_sound(&terms.display)),
        (Term::Type, [&terms.doc_type, &terms.vct].into_iter().all(|name| is_type(name))),
        (Term::Formats, !terms.formats.is_empty() && all_differ(&terms.formats)),
        (Term::Rights, rights_are_sound(&terms.rights)),
        (Term::Uses, terms.rights.uses_max != Some(0)),
        (
            Term::PassPeriod,
            !terms.pass_period_max.is_zero() && terms.pass_period_max <= PASS_PERIOD_MAX,
        ),
        (
            Term::DocumentLife,
            terms.document_life >= DOCUMENT_LIFE_MIN
                && terms.document_life <= terms.pass_period_max,
        ),
        (Term::Batch, (1..=BATCH_MAX).contains(&terms.batch_max)),
        (Term::Handles, terms.handles_max <= HANDLES_MAX),
    ];
    match checks.into_iter().find(|(_, sound)| !sound) {
        Some((term, _)) => Err(ProductRefusal::Terms(term)),
        None => Ok(()),
    }
}

fn displays_are_sound(displays: &[Display]) -> bool {
    let languages: Vec<&str> = displays.iter().map(|display| display.language.as_str()).collect();
    !displays.is_empty()
        && displays.len() <= DISPLAYS_MAX
        && all_differ(&languages)
        && displays.iter().all(|display| {
            is_language(&display.language)
                && !display.name.trim().is_empty()
                && is_text(&display.name, NAME_BYTES_MAX)
                && is_text(&display.description, DESCRIPTION_BYTES_MAX)
        })
}

fn rights_are_sound(rights: &RightsTemplate) -> bool {
    rights.zones.len() <= ZONES_MAX
        && rights.places.len() <= PLACES_MAX
        && all_differ(&rights.zones)
        && all_differ(&rights.places)
}

fn is_language(tag: &str) -> bool {
    tag.len() <= LANGUAGE_BYTES_MAX
        && tag.split('-').all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

fn is_type(name: &str) -> bool {
    !name.is_empty() && name.len() <= TYPE_BYTES_MAX && name.bytes().all(|b| b.is_ascii_graphic())
}

fn is_text(text: &str, bytes_max: usize) -> bool {
    text.len() <= bytes_max && !text.chars().any(char::is_control)
}

fn all_differ<T: PartialEq>(items: &[T]) -> bool {
    // Lists are at most a few dozen long; no order of their types is assumed.
    items
        .iter()
        .enumerate()
        .all(|(position, item)| !items.iter().skip(position + 1).any(|other| other == item))
}
