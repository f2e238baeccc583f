//! The credential issuer of one operator: its identifier and its endpoints (OpenID4VCI 1.0, 12.2).
//!
//! The city's server is one origin; each operator is a credential issuer of its own below it, and
//! its own authorization server. Every URL of an issuer is derived here and nowhere else.

use core::fmt;

use vocabulary::code::{OperatorCode, ProductCode};

use crate::product::Format;

/// Bytes in the origin of a server.
pub const ORIGIN_BYTES_MAX: usize = 200;
/// Path below which the issuers of an origin lie; the operator's code follows.
pub const ISSUERS_PATH: &str = "/issuers/";
/// What is put between origin and path for authorization server metadata (RFC 8414, 3).
pub const SERVER_WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";

/// The credential issuer of one operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    operator: OperatorCode,
    name: String,
    identifier: String,
}

/// The endpoints of an issuer; each is a path below its identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// OAuth token endpoint.
    Token,
    /// Nonce endpoint.
    Nonce,
    /// Credential endpoint.
    Credential,
    /// Notification endpoint.
    Notification,
    /// Offers by reference; the code follows after a slash.
    Offers,
    /// Status lists; the number follows after a slash.
    Status,
}

impl Endpoint {
    /// The path below the identifier of an issuer.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Token => "/token",
            Self::Nonce => "/nonce",
            Self::Credential => "/credential",
            Self::Notification => "/notification",
            Self::Offers => "/offers",
            Self::Status => "/status",
        }
    }
}

impl Issuer {
    /// The issuer of `operator`, named `name` for people, at `origin`: `https://city.example`, or
    /// `http` on a loopback address.
    ///
    /// # Errors
    /// [`OriginError`] when the origin is not of that form.
    pub fn new(operator: OperatorCode, name: String, origin: &str) -> Result<Self, OriginError> {
        if !is_origin(origin) {
            return Err(OriginError { origin: origin.chars().take(ORIGIN_BYTES_MAX).collect() });
        }
        let identifier = format!("{origin}{ISSUERS_PATH}{operator}");
        Ok(Self { operator, name, identifier })
    }

    /// The operator that issues.
    #[must_use]
    pub const fn operator(&self) -> &OperatorCode {
        &self.operator
    }

    /// The operator's name for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Credential Issuer Identifier, which is also the identifier of the authorization server.
    #[must_use]
    pub fn identifier(&self) -> &str {
        &self.identifier
    }

    /// The URL of an endpoint.
    #[must_use]
    pub fn url(&self, endpoint: Endpoint) -> String {
        format!("{}{}", self.identifier, endpoint.path())
    }

    /// The URI of a status list, as documents name it.
    #[must_use]
    pub fn status_uri(&self, number: u32) -> String {
        format!("{}/{number}", self.url(Endpoint::Status))
    }
}

/// The name of what a product is in one format, as metadata, offers and requests use it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Configuration {
    /// The product.
    pub product: ProductCode,
    /// The format.
    pub format: Format,
}

impl Configuration {
    /// The configuration with this identifier.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (product, format) = text.split_once('.')?;
        Some(Self { product: product.parse().ok()?, format: Format::named(format)? })
    }
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.product, self.format.as_str())
    }
}

/// A text that is not the origin of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginError {
    origin: String,
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not an https origin, nor an http one on loopback", self.origin)
    }
}

impl core::error::Error for OriginError {}

fn is_origin(origin: &str) -> bool {
    let authority = match origin.split_once("://") {
        Some(("https", authority)) => authority,
        Some(("http", authority)) if is_loopback(authority) => authority,
        _ => return false,
    };
    let allowed =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    origin.len() <= ORIGIN_BYTES_MAX && !authority.is_empty() && authority.bytes().all(allowed)
}

fn is_loopback(authority: &str) -> bool {
    ["127.0.0.1", "localhost", "[::1]"].into_iter().any(|host| {
        authority.strip_prefix(host).is_some_and(|rest| {
            rest.is_empty()
                || rest
                    .strip_prefix(':')
                    .is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_is_https_or_loopback_and_nothing_more() {
        for (origin, valid) in [
            ("https://city.example", true),
            ("https://city.example:8443", true),
            ("http://127.0.0.1:8080", true),
            ("http://localhost", true),
            ("http://[::1]:80", true),
            ("http://city.example", false),
            ("http://127.0.0.1.evil.example", false),
            ("http://localhost:80@evil.example", false),
            ("https://city.example/", false),
            ("https://city.example?x", false),
            ("https://a@city.example", false),
            ("https://", false),
            ("city.example", false),
        ] {
            let issuer = Issuer::new("harbour".parse().unwrap(), "Harbour".into(), origin);
            assert_eq!(issuer.is_ok(), valid, "{origin}");
        }
    }

    #[test]
    fn origin_holds_to_its_limit() {
        let check = |bytes: usize, valid: bool| {
            let origin = format!("https://{}", "a".repeat(bytes - "https://".len()));
            let issuer = Issuer::new("harbour".parse().unwrap(), "Harbour".into(), &origin);
            assert_eq!(issuer.is_ok(), valid, "{bytes} bytes");
        };
        check(ORIGIN_BYTES_MAX, true);
        check(ORIGIN_BYTES_MAX + 1, false);
    }

    #[test]
    fn configuration_returns_from_its_text() {
        for format in Format::ALL {
            let configuration =
                Configuration { product: "day-ticket".parse().unwrap(), format: *format };
            assert_eq!(Configuration::parse(&configuration.to_string()), Some(configuration));
        }
        for text in ["", ".", "day-ticket", "day-ticket.", ".mso_mdoc", "day-ticket.jwt_vc_json"] {
            assert_eq!(Configuration::parse(text), None, "{text}");
        }
    }
}
