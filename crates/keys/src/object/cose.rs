//! COSE objects, told apart inside their Sig_structure (RFC 9052 section 4.4).
//!
//! The type stands in the protected header (`typ`, RFC 9596) or, for a MobileSecurityObject, which
//! has none, in the payload. External data must be empty: none of these objects uses any.

use credential::access_document::Kind;
use credential::cbor::{self, CborError, Decoder};
use credential::crypto::Algorithm;

/// `typ` of a trust bundle.
pub const BUNDLE_TYP: &str = "application/limen-bundle+cose";
/// `typ` of the approval of one person.
pub const APPROVAL_TYP: &str = "application/limen-approval+cose";
/// `typ` of a firmware manifest.
pub const FIRMWARE_TYP: &str = "application/limen-firmware+cose";
/// `typ` of a status list token in CWT form (draft-ietf-oauth-status-list section 5.2).
pub const STATUS_LIST_TYP: &str = "application/statuslist+cwt";

const HEADER_ALG: i64 = 1;
const HEADER_CRIT: i64 = 2;
const HEADER_TYP: i64 = 16;
/// Claim key of the status list in a CWT.
const CLAIM_STATUS_LIST: i64 = 65533;
/// The members that ISO/IEC 18013-5 9.1.2.4 requires of a MobileSecurityObject.
const MSO_MEMBERS: [&str; 6] =
    ["version", "digestAlgorithm", "valueDigests", "deviceKeyInfo", "docType", "validityInfo"];

/// The same members by the labels of an access document; the label 7 may stand beside them.
const COMPACT_MEMBERS: [&str; 6] = ["1", "2", "3", "4", "5", "6"];
/// The label of the document type among [`COMPACT_MEMBERS`].
const COMPACT_DOC_TYPE: &str = "5";

/// Whether `bytes` are the Sig_structure of a MobileSecurityObject: of an mdoc, or of an access
/// document, which is one by other labels, and by ES256 alone. A revocation document lacks the device
/// and is none.
#[must_use]
pub fn is_mobile_security_object(bytes: &[u8]) -> bool {
    read(bytes).is_ok_and(|signed| {
        let labels = if signed.typ.is_none() { labels_of_mso(signed.payload) } else { Ok(None) };
        match labels {
            Ok(Some(Labels::Iso)) => true,
            Ok(Some(Labels::Compact)) => signed.algorithm == Algorithm::Es256,
            Ok(None) | Err(_) => false,
        }
    })
}

/// Whether `bytes` are the Sig_structure of a status list token.
#[must_use]
pub fn is_status_list(bytes: &[u8]) -> bool {
    read(bytes).is_ok_and(|signed| {
        signed.typ == Some(STATUS_LIST_TYP) && claims_list(signed.payload).unwrap_or(false)
    })
}

/// Whether `bytes` are the Sig_structure of a trust bundle: its `typ`, and a CBOR map as payload.
#[must_use]
pub fn is_bundle(bytes: &[u8]) -> bool {
    is_map_of_type(bytes, BUNDLE_TYP)
}

/// Whether `bytes` are the Sig_structure of an approval: its `typ`, and a CBOR map as payload.
#[must_use]
pub fn is_approval(bytes: &[u8]) -> bool {
    is_map_of_type(bytes, APPROVAL_TYP)
}

/// Whether `bytes` are the Sig_structure of a firmware manifest: its `typ`, and a CBOR map as payload.
#[must_use]
pub fn is_firmware_manifest(bytes: &[u8]) -> bool {
    is_map_of_type(bytes, FIRMWARE_TYP)
}

fn is_map_of_type(bytes: &[u8], typ: &str) -> bool {
    read(bytes).is_ok_and(|signed| {
        signed.typ == Some(typ)
            && Decoder::new(signed.payload).and_then(|mut payload| payload.map()).is_ok()
    })
}

/// The algorithm that the protected header of a Sig_structure names.
#[must_use]
pub fn algorithm(bytes: &[u8]) -> Option<Algorithm> {
    read(bytes).ok().map(|signed| signed.algorithm)
}

struct Signed<'a> {
    algorithm: Algorithm,
    typ: Option<&'a str>,
    payload: &'a [u8],
}

fn read(bytes: &[u8]) -> Result<Signed<'_>, CborError> {
    let mut structure = Decoder::new(bytes)?;
    structure.array_of(4)?;
    if structure.text()? != "Signature1" {
        return Err(structure.unexpected("Signature1"));
    }
    let protected = structure.bytes()?;
    if !structure.bytes()?.is_empty() {
        return Err(structure.unexpected("no external data"));
    }
    let payload = structure.bytes()?;
    structure.finish()?;
    let (algorithm, typ) = header(protected)?;
    Ok(Signed { algorithm, typ, payload })
}

/// Algorithm and `typ` of a protected header that names an algorithm of ours and declares nothing
/// critical.
fn header(protected: &[u8]) -> Result<(Algorithm, Option<&str>), CborError> {
    let mut header = Decoder::new(protected)?;
    let mut entries = header.map()?;
    let (mut alg, mut typ) = (None, None);
    while header.more(&mut entries)? {
        match header.integer()? {
            HEADER_ALG => alg = Some(header.integer()?),
            HEADER_TYP => typ = Some(header.text()?),
            HEADER_CRIT => return Err(header.unexpected("no critical header")),
            _ => header.skip()?,
        }
    }
    let algorithm = alg.and_then(Algorithm::from_cose_id).filter(|alg| *alg != Algorithm::EdDsa);
    let algorithm = algorithm.ok_or_else(|| header.unexpected("an algorithm of the city"))?;
    header.finish()?;
    Ok((algorithm, typ))
}

/// By which labels a MobileSecurityObject is written.
enum Labels {
    Iso,
    Compact,
}

fn labels_of_mso(payload: &[u8]) -> Result<Option<Labels>, CborError> {
    let mut outer = Decoder::new(payload)?;
    let embedded = outer.embedded()?;
    outer.finish()?;
    let mut mso = Decoder::new(embedded.inner)?;
    let mut entries = mso.map()?;
    let (mut found, mut compact, mut others) = (0, 0, 0);
    let mut is_access_document = false;
    while mso.more(&mut entries)? {
        let member = mso.text()?;
        found += usize::from(MSO_MEMBERS.contains(&member));
        compact += usize::from(COMPACT_MEMBERS.contains(&member));
        others += usize::from(!COMPACT_MEMBERS.contains(&member) && member != "7");
        if member == COMPACT_DOC_TYPE && mso.kind() == cbor::Kind::Text {
            is_access_document = mso.text()? == Kind::Access.doc_type();
        } else {
            mso.skip()?;
        }
    }
    // Duplicate keys do not decode: six hits are the six members.
    mso.finish()?;
    let is_mdoc = found == MSO_MEMBERS.len() && compact == 0;
    let is_compact = compact == COMPACT_MEMBERS.len() && others == 0 && is_access_document;
    Ok(match () {
        () if is_mdoc => Some(Labels::Iso),
        () if is_compact => Some(Labels::Compact),
        () => None,
    })
}

fn claims_list(payload: &[u8]) -> Result<bool, CborError> {
    let mut claims = Decoder::new(payload)?;
    let mut entries = claims.map()?;
    let mut found = false;
    while claims.more(&mut entries)? {
        found |= claims.integer()? == CLAIM_STATUS_LIST;
        claims.skip()?;
    }
    claims.finish()?;
    Ok(found)
}
