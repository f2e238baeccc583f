//! Limits of rate, header time and connections.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::town::Town;

#[test]
fn one_request_past_the_rate_is_refused_for_its_token_alone() {
    let town = Town::with(|limits| limits.requests_per_minute = 5);
    for _ in 0..5 {
        town.harbour().get("/v1/people").expect(200);
    }
    let refused = town.harbour().get("/v1/people");
    assert_eq!(refused.problem(429), "rate-limit");
    assert_eq!(refused.header("retry-after"), Some("60"));
    town.hill().get("/v1/people").expect(200);
    for _ in 0..5 {
        assert_eq!(town.anyone().get("/v1/people").status, 401);
    }
    assert_eq!(town.anyone().get("/v1/people").problem(429), "rate-limit");
    assert_eq!(town.anyone().get("/healthz").status, 200, "probes are not counted");
}

#[test]
fn header_that_never_ends_is_cut() {
    let town = Town::with(|limits| limits.header_timeout_ms = 200);
    let mut stream = TcpStream::connect(town.config.http.listen).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let begin = Instant::now();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let waited = begin.elapsed();
    assert!(waited >= Duration::from_millis(150) && waited < Duration::from_secs(10), "{waited:?}");
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert_eq!(town.anyone().get("/healthz").status, 200);
}

#[test]
fn body_that_never_comes_ends_with_the_time_of_a_request() {
    let town = Town::with(|limits| limits.request_timeout_ms = 200);
    let mut stream = TcpStream::connect(town.config.http.listen).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let token = &town.tokens[1];
    let request = format!(
        "POST /v1/people HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[test]
fn header_that_is_too_long_is_refused() {
    let town = Town::new();
    let mut stream = TcpStream::connect(town.config.http.listen).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let request = format!("GET /healthz HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(64 * 1024));
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

#[test]
fn peer_that_does_not_read_its_answers_loses_its_connection() {
    let town = Town::with(|limits| {
        limits.connections_max = 1;
        limits.request_timeout_ms = 300;
        limits.requests_per_minute = 1_000_000;
    });
    let mut deaf = TcpStream::connect(town.config.http.listen).unwrap();
    deaf.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let requests = b"GET /v1/trust HTTP/1.1\r\nhost: x\r\n\r\n".repeat(200);
    // Either the server no longer reads, since it cannot write, or it has cut the connection.
    let begin = Instant::now();
    while deaf.write_all(&requests).is_ok() {
        assert!(begin.elapsed() < Duration::from_secs(120), "the server reads for ever");
    }
    let begin = Instant::now();
    assert_eq!(town.anyone().get("/healthz").status, 200, "the only connection is free again");
    assert!(begin.elapsed() < Duration::from_secs(20));
    drop(deaf);
}

#[test]
fn order_to_stop_is_heard_without_a_free_connection() {
    let mut town = Town::with(|limits| {
        limits.connections_max = 1;
        limits.header_timeout_ms = 60_000;
    });
    let mut idle = TcpStream::connect(town.config.http.listen).unwrap();
    idle.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let begin = Instant::now();
    town.close();
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
}
