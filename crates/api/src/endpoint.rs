//! Every endpoint under `/v1`, as one table: the routes of `server` and the OpenAPI document are
//! both held against it.

/// An endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `get`, `post`, `patch` or `delete`.
    pub method: Method,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// What it does, as a sentence without full stop.
    pub summary: &'static str,
    /// The word under which the OpenAPI document groups it.
    pub tag: &'static str,
    /// Who may call it.
    pub access: Access,
    /// The schema of the request body.
    pub request: Option<&'static str>,
    /// What is answered on success.
    pub response: Response,
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Makes or changes.
    Post,
    /// Changes what is named and leaves the rest.
    Patch,
    /// Ends.
    Delete,
}

impl Method {
    /// The word of the OpenAPI document.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

/// Who may call an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone: what is there is public, or signed, or opened by a code in the body.
    Public,
    /// The bearer of a token whose roles allow it.
    Token,
}

/// What is answered on success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// 200 with a body of this schema.
    Ok(&'static str),
    /// 201 with a body of this schema.
    Created(&'static str),
    /// 200 with a page of this schema; takes `limit` and `after`.
    Page(&'static str),
    /// 200 with bytes of this content type.
    Bytes(&'static str),
    /// 204.
    Empty,
}

use Access::{Public, Token};
use Method::{Delete, Get, Patch, Post};
use Response::{Bytes, Created, Empty, Ok, Page};

const CBOR: &str = "application/cbor";
const TEXT: &str = "text/plain";
const OCTETS: &str = "application/octet-stream";

const fn endpoint(
    method: Method,
    path: &'static str,
    (tag, summary): (&'static str, &'static str),
    access: Access,
    request: Option<&'static str>,
    response: Response,
) -> Endpoint {
    Endpoint { method, path, summary, tag, access, request, response }
}

/// Every endpoint.
pub const ENDPOINTS: &[Endpoint] = &[
    endpoint(
        Post,
        "/v1/wallet/express-handles",
        ("wallet", "Get handles of the express tap, by the device key of a pass"),
        Public,
        Some("HandlesRequest"),
        Ok("Handles"),
    ),
    endpoint(
        Get,
        "/v1/status-lists",
        ("status", "List the addresses of all status lists (Token Status List, aggregation)"),
        Public,
        None,
        Ok("StatusLists"),
    ),
    endpoint(
        Get,
        "/v1/trust",
        ("trust", "Fetch the public certificates and keys of the city"),
        Public,
        None,
        Ok("Trust"),
    ),
    endpoint(
        Post,
        "/v1/operators",
        ("operators", "Register an operator"),
        Token,
        Some("NewOperator"),
        Created("Operator"),
    ),
    endpoint(Get, "/v1/operators", ("operators", "List operators"), Token, None, Page("Operator")),
    endpoint(
        Get,
        "/v1/operators/{code}",
        ("operators", "Show an operator"),
        Token,
        None,
        Ok("Operator"),
    ),
    endpoint(
        Post,
        "/v1/tokens",
        ("tokens", "Make an access token"),
        Token,
        Some("NewToken"),
        Created("CreatedToken"),
    ),
    endpoint(Get, "/v1/tokens", ("tokens", "List access tokens"), Token, None, Page("Token")),
    endpoint(Delete, "/v1/tokens/{id}", ("tokens", "Revoke an access token"), Token, None, Empty),
    endpoint(Post, "/v1/places", ("places", "Add a place"), Token, Some("Place"), Created("Place")),
    endpoint(Get, "/v1/places", ("places", "List places"), Token, None, Page("Place")),
    endpoint(
        Get,
        "/v1/taps",
        ("taps", "Show what taps must prove, and how fast, by class of door"),
        Token,
        None,
        Ok("Taps"),
    ),
    endpoint(
        Patch,
        "/v1/taps",
        ("taps", "Set what taps must prove, and how fast, by class of door"),
        Token,
        Some("TapsChange"),
        Ok("Taps"),
    ),
    endpoint(
        Post,
        "/v1/products",
        ("products", "Add a product"),
        Token,
        Some("NewProduct"),
        Created("Product"),
    ),
    endpoint(Get, "/v1/products", ("products", "List products"), Token, None, Page("Product")),
    endpoint(
        Get,
        "/v1/products/{code}",
        ("products", "Show a product"),
        Token,
        None,
        Ok("Product"),
    ),
    endpoint(
        Post,
        "/v1/people",
        ("people", "Register a person"),
        Token,
        Some("NewPerson"),
        Created("Person"),
    ),
    endpoint(Get, "/v1/people", ("people", "List people"), Token, None, Page("Person")),
    endpoint(Get, "/v1/people/{id}", ("people", "Show a person"), Token, None, Ok("Person")),
    endpoint(
        Post,
        "/v1/passes",
        ("passes", "Issue a pass"),
        Token,
        Some("NewPass"),
        Created("Pass"),
    ),
    endpoint(Get, "/v1/passes", ("passes", "List passes"), Token, None, Page("Pass")),
    endpoint(Get, "/v1/passes/{id}", ("passes", "Show a pass"), Token, None, Ok("Pass")),
    endpoint(
        Post,
        "/v1/passes/{id}/offers",
        ("passes", "Offer a pass to a wallet"),
        Token,
        None,
        Created("Offer"),
    ),
    endpoint(
        Post,
        "/v1/passes/{id}/suspend",
        ("passes", "Suspend a pass"),
        Token,
        Some("PassDeed"),
        Ok("Pass"),
    ),
    endpoint(
        Post,
        "/v1/passes/{id}/resume",
        ("passes", "Resume a suspended pass"),
        Token,
        Some("PassDeed"),
        Ok("Pass"),
    ),
    endpoint(
        Post,
        "/v1/passes/{id}/revoke",
        ("passes", "Revoke a pass for good"),
        Token,
        Some("PassDeed"),
        Ok("Pass"),
    ),
    endpoint(
        Post,
        "/v1/readers/enrolments",
        ("readers", "Await a reader"),
        Token,
        Some("NewEnrolment"),
        Created("Enrolment"),
    ),
    endpoint(
        Post,
        "/v1/readers/enrol",
        ("readers", "Enrol a reader by its one-time code"),
        Public,
        Some("EnrolRequest"),
        Created("Enrolled"),
    ),
    endpoint(Get, "/v1/readers", ("readers", "List readers"), Token, None, Page("Reader")),
    endpoint(Get, "/v1/readers/{id}", ("readers", "Show a reader"), Token, None, Ok("Reader")),
    endpoint(
        Post,
        "/v1/readers/{id}/certificate",
        ("readers", "Renew the certificate of a reader"),
        Token,
        Some("RenewRequest"),
        Ok("Renewed"),
    ),
    endpoint(
        Post,
        "/v1/readers/{id}/delivery-keys",
        ("readers", "Tell to which keys a reader has its own wrapped"),
        Token,
        Some("DeliveryKeys"),
        Ok("DeliveryKeysKept"),
    ),
    endpoint(
        Get,
        "/v1/readers/{id}/bundle",
        ("readers", "Fetch the signed bundle of a reader"),
        Token,
        None,
        Bytes(CBOR),
    ),
    endpoint(
        Post,
        "/v1/readers/{id}/journal",
        ("readers", "Upload a piece of journal"),
        Token,
        Some("JournalUpload"),
        Ok("JournalReceipt"),
    ),
    endpoint(
        Get,
        "/v1/status-lists/{operator}/{number}",
        ("status", "Fetch a Token Status List, as CWT or JWT by Accept"),
        Public,
        None,
        Bytes("application/statuslist+cwt"),
    ),
    endpoint(
        Get,
        "/v1/findings",
        ("passes", "List the taps that should not have been: forged, copied and cloned"),
        Token,
        None,
        Page("Finding"),
    ),
    endpoint(
        Get,
        "/v1/events",
        ("log", "List the deeds of an operator"),
        Token,
        None,
        Page("Event"),
    ),
    endpoint(
        Get,
        "/v1/log/checkpoint",
        ("log", "Fetch the signed checkpoint of the audit log"),
        Public,
        None,
        Bytes(TEXT),
    ),
    endpoint(
        Get,
        "/v1/log/tile/{path}",
        ("log", "Fetch a tile of the audit log (C2SP tlog-tiles)"),
        Public,
        None,
        Bytes(OCTETS),
    ),
];
