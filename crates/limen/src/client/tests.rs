//! The client against a tiny server on loopback that answers as it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{self, Receiver};

use serde_json::{Value, json};

use super::*;

/// Answers one request with `response` and hands over the request as text.
fn serve(response: &[u8]) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let response = response.to_vec();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut request, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            request.push_str(&line);
            if line == "\r\n" || line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        request.push_str(&String::from_utf8(body).unwrap());
        stream.write_all(&response).unwrap();
        let _ = sender.send(request);
    });
    (url, receiver)
}

fn client(url: &str) -> Client {
    let token = Some(String::from("secret-1"));
    Client::new(Connection { server: url.into(), token, ca: None }).unwrap()
}

fn response(status: &str, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// What people read when the server answers this.
fn check_failure(response: &[u8], expected: &[&str]) {
    let (url, _request) = serve(response);
    let failure = client(&url).get_json::<Value>("/v1/passes").unwrap_err();
    let text = failure.to_string();
    for part in expected {
        assert!(text.contains(part), "`{part}` is not in `{text}`");
    }
    assert!(!text.contains("secret-1") && !text.contains('\u{1b}'), "{text}");
    assert_eq!(failure.code(), 1);
}

#[test]
fn json_goes_out_with_the_token_and_comes_back() {
    let (url, request) = serve(&response("201 Created", JSON, r#"{"id":"pass_1"}"#));
    // A slash at the end of the URL does no harm.
    let answer: Value =
        client(&format!("{url}/")).post_json("/v1/passes", &json!({ "person": "p" })).unwrap();
    assert_eq!(answer, json!({ "id": "pass_1" }));
    let request = request.recv().unwrap().to_ascii_lowercase();
    assert!(request.starts_with("post /v1/passes http/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nauthorization: bearer secret-1\r\n"), "{request}");
    assert!(request.contains("\r\ncontent-type: application/json\r\n"), "{request}");
    assert!(request.ends_with(r#"{"person":"p"}"#), "{request}");
}

#[test]
fn a_request_to_elsewhere_carries_no_token() {
    let (url, request) = serve(&response("418 I'm a teapot", "text/plain", "short"));
    let here = client("http://127.0.0.1:1");
    let headers = [("accept", "text/plain"), ("dpop", "proof")];
    let answer = here.send(Method::POST, &format!("{url}/token"), &headers, b"a=b").unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (418, b"short".as_slice()));
    assert_eq!(answer.header("Content-Type"), Some("text/plain"));
    let request = request.recv().unwrap().to_ascii_lowercase();
    assert!(!request.contains("secret-1") && request.contains("dpop: proof"), "{request}");
}

#[test]
fn problems_are_told_with_code_and_advice() {
    let problem = |status: u16, code: &str, detail: &str| {
        let title = "the deed is refused";
        let body = json!({ "status": status, "title": title, "code": code, "detail": detail });
        let line = format!("{status} No");
        response(&line, "application/problem+json; charset=utf-8", &body.to_string())
    };
    check_failure(
        &problem(409, "pass-state", "the pass is revoked"),
        &["the deed is refused: the pass is revoked", "pass-state", "409"],
    );
    check_failure(&problem(401, "unauthorized", "no"), &["limen login"]);
    check_failure(&problem(404, "not-found", "no"), &["another operator"]);
    check_failure(&problem(409, "x", "\u{1b}[2Jgone"), &["\\u{1b}[2Jgone"]);
}

#[test]
fn answers_of_others_are_no_answers() {
    check_failure(
        &response("502 Bad Gateway", "text/html", "<h1>proxy</h1>"),
        &["502", "<h1>proxy</h1>", "a server of Limen?"],
    );
    check_failure(&response("200 OK", JSON, "{\"id\":"), &["not understood"]);
    check_failure(
        b"HTTP/1.1 302 Found\r\nlocation: https://evil.example/\r\ncontent-length: 0\r\n\r\n",
        &["evil.example", "no redirect is followed"],
    );
    check_failure(b"SSH-2.0-OpenSSH_9.2\r\n", &["cannot reach"]);
    check_failure(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", &["cannot reach"]);
}

#[test]
fn an_answer_too_long_is_not_read_to_its_end() {
    let bytes = |length: u64| {
        let mut response =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").into_bytes();
        response.resize(response.len() + usize::try_from(length).unwrap(), b'x');
        let (url, _request) = serve(&response);
        client(&url).get_bytes("/v1/log/checkpoint", "text/plain")
    };
    assert_eq!(bytes(ANSWER_BYTES_MAX).unwrap().len() as u64, ANSWER_BYTES_MAX);
    let text = bytes(ANSWER_BYTES_MAX + 1).unwrap_err().to_string();
    assert!(text.contains("exceeds 16777216 bytes"), "{text}");
}

#[test]
fn a_closed_port_is_told_as_such() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let failure = client(&format!("http://127.0.0.1:{port}")).get_json::<Value>("/").unwrap_err();
    let text = failure.to_string();
    assert!(text.contains("cannot reach") && text.contains("is the server running"), "{text}");
}

#[test]
fn only_https_leaves_this_machine() {
    let check = |server: &str, expected: Option<&str>| {
        let made = Client::new(Connection { server: server.into(), token: None, ca: None });
        let text = made.err().map(|failure| failure.to_string());
        match expected {
            None => assert_eq!(text, None, "{server}"),
            Some(part) => assert!(text.as_ref().is_some_and(|t| t.contains(part)), "{text:?}"),
        }
    };
    check("https://city.example", None);
    check("http://localhost:8080", None);
    check("http://127.0.0.1:8080/", None);
    check("http://[::1]:8080", None);
    check("http://city.example", Some("this machine only"));
    check("http://127.0.0.1.city.example", Some("this machine only"));
    check("http://localhost@city.example", Some("this machine only"));
    check("https://token@city.example", Some("in clear"));
    check("ftp://city.example", Some("must begin with https://"));
    check("city.example", Some("must begin with https://"));
    check("", Some("malformed"));
}

#[test]
fn roots_must_be_certificates() {
    let file = std::env::temp_dir().join(format!("limen-roots-{}.pem", std::process::id()));
    std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    let ca = Some(file.clone());
    let made = Client::new(Connection { server: "https://a.example".into(), token: None, ca });
    std::fs::remove_file(file).unwrap();
    let text = made.err().unwrap().to_string();
    assert!(text.contains("as roots"), "{text}");
}

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/client/tls/root.pem");

/// Answers one request over TLS of one version; says how its handshake ended.
fn serve_tls(
    version: &'static rustls::SupportedProtocolVersion,
) -> (String, Receiver<Option<rustls::ProtocolVersion>>) {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut tls = rustls::Stream::new(&mut connection, &mut stream);
        let mut request = [0; 1024];
        if tls.read(&mut request).is_ok() {
            let _ = tls.write_all(&response("200 OK", JSON, "{}"));
        }
        let _ = sender.send(connection.protocol_version());
    });
    (url, receiver)
}

#[test]
fn tls_is_1_3_with_a_trusted_root_alone() {
    use rustls::version::{TLS12, TLS13};
    let ask = |version, ca: Option<&str>| {
        let (url, ended) = serve_tls(version);
        let connection = Connection { server: url, token: None, ca: ca.map(PathBuf::from) };
        let answer: Result<Value, Failure> = Client::new(connection).unwrap().get_json("/v1/trust");
        (answer.map_err(|failure| failure.to_string()), ended.recv().unwrap())
    };
    let (answer, version) = ask(&TLS13, Some(ROOT));
    assert_eq!((answer, version), (Ok(json!({})), Some(rustls::ProtocolVersion::TLSv1_3)));
    let (answer, _) = ask(&TLS13, None);
    assert!(answer.as_ref().is_err_and(|text| text.contains("--ca FILE")), "{answer:?}");
    let (answer, _) = ask(&TLS12, Some(ROOT));
    assert!(answer.as_ref().is_err_and(|text| text.contains("only TLS 1.3")), "{answer:?}");
}
