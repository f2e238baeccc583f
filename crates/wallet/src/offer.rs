//! Credential offers (OpenID4VCI 1.0, section 4.1): from a link or a QR picture to what is offered.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use credential::jose::json;
use serde_json::Value;

/// Bytes in an offer.
pub const OFFER_BYTES_MAX: usize = 16 * 1024;
/// Configurations in one offer.
pub const CONFIGURATIONS_MAX: usize = 8;

const SCHEME: &str = "openid-credential-offer://";
const PRE_AUTHORIZED: &str = "urn:ietf:params:oauth:grant-type:pre-authorized_code";

/// What a link holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// The offer itself.
    Value(Offer),
    /// Where the offer is to be fetched by GET.
    Reference(String),
}

/// An offer.
#[derive(Clone, PartialEq, Eq)]
pub struct Offer {
    /// The issuer's identifier.
    pub issuer: String,
    /// The kinds of passes that are offered.
    pub configurations: Vec<String>,
    /// The code that stands for the owner's consent at the issuer.
    pub code: String,
    /// Whether the owner must enter a code that came over another channel.
    pub needs_transaction_code: bool,
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Offer({}, {:?})", self.issuer, self.configurations)
    }
}

/// Why something is not an offer that this wallet can take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfferError {
    /// The text does not begin with `openid-credential-offer://`.
    Scheme,
    /// The link holds neither an offer nor a reference to one.
    Link,
    /// The reference does not lead to an address of the web.
    Reference,
    /// The offer is not what the standard describes.
    Form {
        /// The member that is missing or wrong.
        member: &'static str,
    },
    /// The offer asks for a way that this wallet does not go.
    Grant,
}

impl fmt::Display for OfferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => write!(f, "not an offer: it does not begin with `{SCHEME}`"),
            Self::Link => f.write_str("the link holds no offer"),
            Self::Reference => f.write_str("the link refers to no address of the web"),
            Self::Form { member } => write!(f, "the offer lacks a good `{member}`"),
            Self::Grant => f.write_str("the offer has no pre-authorized code"),
        }
    }
}

impl core::error::Error for OfferError {}

/// Reads an `openid-credential-offer://` link.
///
/// # Errors
/// [`OfferError`].
pub fn parse_link(text: &str) -> Result<Link, OfferError> {
    let rest = text.trim().strip_prefix(SCHEME).ok_or(OfferError::Scheme)?;
    if rest.len() > OFFER_BYTES_MAX {
        return Err(OfferError::Link);
    }
    let (_, query) = rest.split_once('?').ok_or(OfferError::Link)?;
    let mut parameters = query.split('&').filter_map(|pair| pair.split_once('='));
    let (name, value) = parameters
        .find(|(name, _)| ["credential_offer", "credential_offer_uri"].contains(name))
        .ok_or(OfferError::Link)?;
    let value = decode_percent(value).ok_or(OfferError::Link)?;
    if name == "credential_offer" {
        return parse(value.as_bytes()).map(Link::Value);
    }
    if !is_web(&value) {
        return Err(OfferError::Reference);
    }
    Ok(Link::Reference(value))
}

/// Reads the JSON of an offer.
///
/// # Errors
/// [`OfferError`].
pub fn parse(body: &[u8]) -> Result<Offer, OfferError> {
    let wrong = |member| OfferError::Form { member };
    if body.len() > OFFER_BYTES_MAX {
        return Err(wrong("credential_offer"));
    }
    let offer = json::parse(body).map_err(|_| wrong("credential_offer"))?;
    let issuer = offer.get("credential_issuer").and_then(Value::as_str);
    let issuer = issuer.filter(|issuer| is_web(issuer)).ok_or(wrong("credential_issuer"))?;
    let configurations = offer.get("credential_configuration_ids").and_then(Value::as_array);
    let configurations: Vec<String> = configurations
        .filter(|list| (1..=CONFIGURATIONS_MAX).contains(&list.len()))
        .and_then(|list| list.iter().map(|name| name.as_str().map(String::from)).collect())
        .ok_or(wrong("credential_configuration_ids"))?;
    let grant = offer.get("grants").and_then(|grants| grants.get(PRE_AUTHORIZED));
    let grant = grant.ok_or(OfferError::Grant)?;
    let code = grant.get("pre-authorized_code").and_then(Value::as_str).ok_or(OfferError::Grant)?;
    Ok(Offer {
        issuer: issuer.into(),
        configurations,
        code: code.into(),
        needs_transaction_code: grant.get("tx_code").is_some_and(|code| !code.is_null()),
    })
}

/// Whether a text is an absolute address that a wallet may call: HTTPS, or HTTP on this machine.
pub(crate) fn is_web(url: &str) -> bool {
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let after_host = |prefix: &&str| {
        url.strip_prefix(*prefix).is_some_and(|r| r.starts_with([':', '/']) || r.is_empty())
    };
    url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty())
        || local.iter().any(after_host)
}

fn decode_percent(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn offers_by_value_and_by_reference_are_read() {
        let link = "openid-credential-offer://?credential_offer=%7B%22credential_issuer%22%3A%22https%3A%2F%2Fc.example%22%2C%22credential_configuration_ids%22%3A%5B%22a%22%5D%2C%22grants%22%3A%7B%22urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Apre-authorized_code%22%3A%7B%22pre-authorized_code%22%3A%22x%22%2C%22tx_code%22%3A%7B%7D%7D%7D%7D";
        let Ok(Link::Value(offer)) = parse_link(link) else { panic!("{:?}", parse_link(link)) };
        assert_eq!((offer.issuer.as_str(), offer.code.as_str()), ("https://c.example", "x"));
        assert!(offer.needs_transaction_code);
        let link =
            "openid-credential-offer://?credential_offer_uri=https%3A%2F%2Fc.example%2Fo%2F1";
        assert_eq!(parse_link(link), Ok(Link::Reference("https://c.example/o/1".into())));
    }

    #[test]
    fn what_is_no_offer_is_refused_by_name() {
        for (link, error) in [
            ("https://c.example", OfferError::Scheme),
            ("openid-credential-offer://", OfferError::Link),
            ("openid-credential-offer://?a=b", OfferError::Link),
            ("openid-credential-offer://?credential_offer_uri=file:///etc", OfferError::Reference),
            (
                "openid-credential-offer://?credential_offer_uri=http://c.example/o",
                OfferError::Reference,
            ),
            (
                "openid-credential-offer://?credential_offer_uri=http://127.0.0.1.c.example/o",
                OfferError::Reference,
            ),
            (
                "openid-credential-offer://?credential_offer=%7B%7D",
                OfferError::Form { member: "credential_issuer" },
            ),
        ] {
            assert_eq!(parse_link(link), Err(error), "{link}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text: String, bytes: Vec<u8>) {
            let _ = parse_link(&alloc::format!("{SCHEME}?credential_offer={text}"));
            let _ = parse(&bytes);
        }
    }
}
