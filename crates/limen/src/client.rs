//! HTTP to a server of Limen, and to issuers that speak OpenID4VCI: blocking, with limits.
//!
//! TLS 1.3 only, with Mozilla's roots or with those of a file. Plain HTTP goes to this machine
//! alone, because a token would be readable on the way. No redirect is followed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::problem::Problem;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::{HeaderMap, Method, Request, Uri, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Proxy};

use crate::failure::Failure;
use crate::{input, output};

/// Bytes in the body of an answer.
pub(crate) const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How long a connection may take to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request may take in all.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Characters of an answer that is no problem document which people are shown.
const ANSWER_CHARACTERS_SHOWN: usize = 200;

const JSON: &str = "application/json";

/// Where a server is and who asks.
#[derive(Clone, Default)]
pub(crate) struct Connection {
    /// The base of its URLs, `https://city.example`.
    pub(crate) server: String,
    /// What stands after `Authorization: Bearer`; public endpoints need none.
    pub(crate) token: Option<String>,
    /// A PEM file of the only roots to trust, instead of Mozilla's.
    pub(crate) ca: Option<PathBuf>,
}

/// An answer as it came, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The HTTP status code.
    pub(crate) status: u16,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether the status is one of success.
    pub(crate) const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// The problem that the answer describes, if it describes one.
    pub(crate) fn problem(&self) -> Option<Problem> {
        let kind = self.header("content-type")?;
        let is_problem = kind
            .split(';')
            .next()
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(api::problem::CONTENT_TYPE));
        is_problem.then(|| serde_json::from_slice(&self.body).ok()).flatten()
    }
}

/// Speaks to one server.
pub(crate) struct Client {
    base: String,
    token: Option<String>,
    /// For everything that is not on this machine; it may go through a proxy.
    far: Agent,
    /// For this machine.
    near: Agent,
}

impl Client {
    /// Makes a client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Failure`] when the URL or the file of roots cannot be used.
    pub(crate) fn new(connection: Connection) -> Result<Self, Failure> {
        let base = connection.server.trim_end_matches('/').to_owned();
        checked_uri(&base)?;
        let tls = tls(connection.ca.as_deref())?;
        let agent = |proxy| {
            let config = Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .timeout_connect(Some(CONNECT_TIMEOUT))
                .timeout_global(Some(REQUEST_TIMEOUT))
                .user_agent(concat!("limen/", env!("CARGO_PKG_VERSION")))
                .proxy(proxy)
                .tls_config(tls.clone());
            config.build().new_agent()
        };
        let (far, near) = (agent(Proxy::try_from_env()), agent(None));
        Ok(Self { base, token: connection.token, far, near })
    }

    /// The base of the server's URLs, without slash at the end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Reads a JSON answer. `path` begins with `/`.
    pub(crate) fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let answer = self.ask(Method::GET, path, JSON, None)?;
        parse(&answer.body, &self.url(path))
    }

    /// Sends JSON and reads a JSON answer. `path` begins with `/`.
    pub(crate) fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.send_json(Method::POST, path, body)
    }

    /// Changes what the JSON names and reads a JSON answer. `path` begins with `/`.
    pub(crate) fn patch_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.send_json(Method::PATCH, path, body)
    }

    /// Posts without a body and reads a JSON answer. `path` begins with `/`.
    pub(crate) fn post_nothing<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let answer = self.ask(Method::POST, path, JSON, None)?;
        parse(&answer.body, &self.url(path))
    }

    /// Ends a thing. `path` begins with `/`.
    pub(crate) fn delete(&self, path: &str) -> Result<(), Failure> {
        self.ask(Method::DELETE, path, JSON, None).map(drop)
    }

    /// Reads bytes of the content type `accept`. `path` begins with `/`.
    pub(crate) fn get_bytes(&self, path: &str, accept: &str) -> Result<Vec<u8>, Failure> {
        self.ask(Method::GET, path, accept, None).map(|answer| answer.body)
    }

    /// Sends exactly these headers and this body to any URL, without the token of this client,
    /// and yields the answer whatever its status.
    ///
    /// # Errors
    /// [`Failure`] when no whole answer comes.
    pub(crate) fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, Failure> {
        let uri = checked_uri(url)?;
        let agent = if is_loopback(&uri) { &self.near } else { &self.far };
        let mut request = Request::builder().method(method.clone()).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let unreached = |error: ureq::Error| unreachable(url, &error);
        let answered = if body.is_empty() && !expects_body(&method) {
            agent.run(request.body(()).map_err(|error| unreached(error.into()))?)
        } else {
            agent.run(request.body(body).map_err(|error| unreached(error.into()))?)
        };
        let (parts, mut body) = answered.map_err(unreached)?.into_parts();
        let body = body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(unreached)?;
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    fn send_json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Failure::broken(format!("cannot write JSON: {error}")))?;
        let answer = self.ask(method, path, JSON, Some(&body))?;
        parse(&answer.body, &self.url(path))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Asks the server in the name of the token; anything but success becomes a failure.
    fn ask(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<&[u8]>,
    ) -> Result<Answer, Failure> {
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let mut headers = vec![("accept", accept)];
        if let Some(bearer) = &bearer {
            headers.push((header::AUTHORIZATION.as_str(), bearer));
        }
        if body.is_some() {
            headers.push((header::CONTENT_TYPE.as_str(), JSON));
        }
        let url = self.url(path);
        let answer = self.send(method, &url, &headers, body.unwrap_or_default())?;
        if answer.is_success() { Ok(answer) } else { Err(refused(&url, &answer)) }
    }
}

fn expects_body(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

fn parse<T: DeserializeOwned>(body: &[u8], url: &str) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        let error = output::printable(&error.to_string());
        Failure::broken(format!("answer of `{url}` is not understood: {error}"))
            .hint("is this a server of Limen, of the same version as this program?")
    })
}

/// The answer of a server that did not do what was asked, in words for people.
pub(crate) fn refused(url: &str, answer: &Answer) -> Failure {
    let status = answer.status;
    let Some(problem) = answer.problem() else {
        if let Some(place) = answer.header("location").filter(|_| (300..400).contains(&status)) {
            let place = output::printable(place);
            return Failure::broken(format!("`{url}` leads elsewhere, to `{place}`"))
                .hint("no redirect is followed; name the right server with --server");
        }
        let text = String::from_utf8_lossy(&answer.body);
        let text: String = text.trim().chars().take(ANSWER_CHARACTERS_SHOWN).collect();
        let text = output::printable(&text);
        let failure = Failure::broken(format!("`{url}` answered {status}: {text}"));
        return failure.hint("is this a server of Limen?");
    };
    let [title, code, detail] =
        [&problem.title, &problem.code, &problem.detail].map(|text| output::printable(text));
    let failure = Failure::broken(format!("{title}: {detail} ({code}, HTTP {status})"));
    match advice(status) {
        Some(advice) => failure.hint(advice),
        None => failure,
    }
}

/// What to do next, where the server's own detail cannot say it in the words of this program.
const fn advice(status: u16) -> Option<&'static str> {
    match status {
        401 => Some("sign in with `limen login --server URL`, or give --token or LIMEN_TOKEN"),
        403 => Some(
            "ask for a token with a role that allows it (`limen admin token create`); what holds for the \
             whole city takes one of the operator `city`",
        ),
        404 => Some("it does not exist, or it belongs to another operator"),
        429 => Some("wait a minute and try again"),
        _ => None,
    }
}

fn unreachable(url: &str, error: &ureq::Error) -> Failure {
    let failure =
        |why: &str| Failure::broken(format!("cannot reach `{}`: {why}", output::printable(url)));
    match error {
        ureq::Error::Io(error) => match certificate_error(error) {
            Some(why) => distrusted(failure(&why)),
            None => failure(&output::printable(&error.to_string()))
                .hint("is the server running, and is the URL right?"),
        },
        ureq::Error::Rustls(error) => distrusted(failure(&error.to_string())),
        ureq::Error::Timeout(_) => failure("no whole answer came in time").hint("try again"),
        ureq::Error::HostNotFound => failure("no such host").hint("is the URL right?"),
        ureq::Error::BodyExceedsLimit(_) => {
            failure(&format!("the answer exceeds {ANSWER_BYTES_MAX} bytes"))
        }
        error => failure(&output::printable(&error.to_string())),
    }
}

fn certificate_error(error: &std::io::Error) -> Option<String> {
    error.get_ref()?.downcast_ref::<rustls::Error>().map(ToString::to_string)
}

fn distrusted(failure: Failure) -> Failure {
    failure.hint("a server with a private root needs --ca FILE; only TLS 1.3 is spoken")
}

fn checked_uri(url: &str) -> Result<Uri, Failure> {
    let unusable = |why: &str| {
        Failure::usage(format!("cannot use `{}` as a URL: {why}", output::printable(url)))
    };
    let uri: Uri = url
        .parse()
        .map_err(|_| unusable("it is malformed").hint("write it like `https://city.example`"))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("https"), Some(host)) if !host.is_empty() => {}
        (Some("http"), Some(_)) if is_loopback(&uri) => {}
        (Some("http"), Some(_)) => {
            return Err(unusable("plain HTTP is spoken on this machine only")
                .hint("write https:// instead of http://"));
        }
        _ => return Err(unusable("it must begin with https://")),
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(unusable("a name or password in it would be sent in clear; use --token"));
    }
    Ok(uri)
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn tls(ca: Option<&Path>) -> Result<TlsConfig, Failure> {
    let roots = ca.map_or(Ok(RootCerts::WebPki), roots)?;
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    // Without a suite of TLS 1.2 that version is not offered.
    provider.cipher_suites.retain(|suite| suite.tls13().is_some());
    Ok(TlsConfig::builder()
        .root_certs(roots)
        .unversioned_rustls_crypto_provider(Arc::new(provider))
        .build())
}

fn roots(path: &Path) -> Result<RootCerts, Failure> {
    let unusable = |why: &str| {
        Failure::usage(format!("cannot use `{}` as roots: {why}", path.display()))
            .hint("expected one or many certificates as PEM")
    };
    let bytes = input::read(path)?;
    let mut roots = Vec::new();
    for item in parse_pem(&bytes) {
        match item.map_err(|error| unusable(&error.to_string()))? {
            PemItem::Certificate(certificate) => {
                // What the library cannot read it would pass over in silence.
                let parsed = RootCertStore::empty().add(CertificateDer::from(certificate.der()));
                parsed.map_err(|error| unusable(&error.to_string()))?;
                roots.push(certificate);
            }
            _ => return Err(unusable("it holds something that is no certificate")),
        }
    }
    if roots.is_empty() {
        return Err(unusable("it holds no certificate"));
    }
    Ok(RootCerts::from(roots))
}

#[cfg(test)]
#[path = "client/tests.rs"]
mod tests;
