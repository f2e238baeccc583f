//! Passes in the wallet: documents of one right, each bound to a device key of its own.

use alloc::string::String;
use alloc::vec::Vec;

use credential::access_document;
use credential::crypto::{Crypto, PublicKey};
use credential::mdoc::{self, Expectation, IssuerSigned, Item};
use credential::rejection::Rejection;
use credential::rights::NAME_SPACE;
use credential::sd_jwt::{self, KeyBindingRule, Presence, Profile, Window};
use credential::x509::TrustAnchors;
use vocabulary::time::Instant;

use crate::secure_element::DeviceKey;

/// Passes in one wallet.
pub const PASSES_MAX: usize = 256;

/// One right of the owner, as the wallet keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// What the owner sees.
    pub name: String,
    /// The issuer's identifier (OpenID4VCI).
    pub issuer: String,
    /// The issuer's name for this kind of pass.
    pub configuration: String,
    /// The documents, oldest first.
    pub documents: Vec<Document>,
}

/// One document of a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its bytes: IssuerSigned in one of two encodings, or the text of an SD-JWT.
    pub content: Content,
    /// The key to which it is bound.
    pub key: DeviceKey,
    /// Its document type (mdoc, access document) or `vct`.
    pub kind: String,
    /// First instant of validity.
    pub valid_from: Instant,
    /// Last instant of validity.
    pub valid_until: Instant,
    /// How many times it was shown; fresh ones are preferred, so that shows cannot be linked.
    pub shown: u32,
}

/// The bytes of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// IssuerSigned (ISO/IEC 18013-5).
    Mdoc(Vec<u8>),
    /// A compact SD-JWT VC.
    SdJwt(String),
    /// IssuerSigned of an access document, for the standard tap.
    AccessDocument(Vec<u8>),
}

impl Document {
    /// Takes in what an issuer sent for one of `keys`, after verifying it as a stranger would.
    ///
    /// # Errors
    /// [`Rejection`]: the wallet keeps nothing that it could not show. Culprit `holder` if the
    /// document is bound to none of the keys.
    pub fn accept(
        crypto: &dyn Crypto,
        content: Content,
        keys: &[(DeviceKey, PublicKey)],
        anchors: &TrustAnchors,
        now: Instant,
    ) -> Result<Self, Rejection> {
        let (kind, valid_from, valid_until, bound_to) = match &content {
            Content::Mdoc(bytes) => {
                let expectation =
                    Expectation { crypto, anchors, at: now, doc_type: None, session: None };
                let document = mdoc::verify_issuer_signed(bytes, &expectation, None)?;
                let mso = document.mobile_security_object();
                (
                    String::from(mso.doc_type),
                    mso.valid_from,
                    mso.valid_until,
                    Some(mso.device_key.clone()),
                )
            }
            Content::SdJwt(text) => {
                let key_binding = KeyBindingRule {
                    presence: Presence::Optional,
                    audience: None,
                    nonce: None,
                    window: Window::default(),
                };
                let profile = Profile::Credential { vct: None };
                let expectation = sd_jwt::Expectation { anchors, at: now, profile, key_binding };
                let verified = sd_jwt::verify(crypto, text, &expectation)?;
                let validity = verified.validity();
                let from = validity.not_before.or(validity.issued_at).unwrap_or(now);
                let until = validity.expires_at.unwrap_or(Instant::from_unix_micros(i64::MAX));
                let kind = String::from(verified.vct().unwrap_or_default());
                (kind, from, until, verified.holder_key().cloned())
            }
            Content::AccessDocument(bytes) => verified_access(crypto, bytes, anchors, now)?,
        };
        let bound = keys.iter().find(|(_, public)| bound_to.as_ref() == Some(public));
        let (key, _) = *bound.ok_or_else(|| {
            let message = "issuer bound the document to another key than those that were shown";
            Rejection::holder("holder-key", message)
        })?;
        Ok(Self { content, key, kind, valid_from, valid_until, shown: 0 })
    }

    /// Whether its issuer says that only the holder in person may use it. No reader can see to that;
    /// the wallet does, by asking the holder to confirm every show.
    #[must_use]
    pub fn is_holder_only(&self) -> bool {
        const YES: &[u8] = &[0xf5];
        let bytes = match &self.content {
            Content::Mdoc(bytes) => bytes,
            Content::SdJwt(_) => return false,
            Content::AccessDocument(bytes) => {
                let rights = access_document::pass::danger_unverified_rights(bytes);
                return rights.map_or(true, |rights| rights.holder_only);
            }
        };
        let says_so = |item: &Item<'_>| {
            item.name_space == NAME_SPACE && item.element == "holder_only" && item.value == YES
        };
        IssuerSigned::parse(bytes).is_ok_and(|document| document.items.iter().any(says_so))
    }

    /// Whether a reader would take it at `at`, as far as dates go.
    #[must_use]
    pub fn is_current(&self, at: Instant) -> bool {
        self.valid_from <= at && at <= self.valid_until
    }
}

/// Kind, dates and device of an access document by a document signer whom the wallet knows.
fn verified_access(
    crypto: &dyn Crypto,
    bytes: &[u8],
    anchors: &TrustAnchors,
    now: Instant,
) -> Result<(String, Instant, Instant, Option<PublicKey>), Rejection> {
    let issuers: Vec<PublicKey> = anchors.document_signer_keys(now).cloned().collect();
    let device = access_document::named_device(bytes)?;
    let device_key = device.as_ref();
    let expectation =
        access_document::Expectation { crypto, issuers: &issuers, at: now, device_key };
    let document = access_document::verify_issuer_signed(bytes, &expectation)?;
    access_document::pass::read(&document)?;
    let (kind, dates) = (document.kind().doc_type(), document.validity());
    Ok((String::from(kind), dates.valid_from, dates.valid_until, device))
}
