//! `POST /v1/people` with token, policy and audit, durable, by 32 clients at a time: against a
//! handler that makes one durable transaction per request, and against a handler that says hello.
//!
//! Servers run on one core and the clients on another where there are two, each server with a
//! runtime of its own, all in this process and on one disk. The naive handler knows no token, no
//! policy and no log: it inserts a person and an audit row.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    unreachable_pub,
    missing_docs,
    reason = "a benchmark may panic, and uses a part of what all share"
)]

#[path = "../../../benches/measure.rs"]
mod measure;
#[path = "../tests/suite/town.rs"]
mod town;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use rusqlite::Connection;
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::{Value, json};
use server::config::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use measure::{Bench, Pair};
use town::Town;

const CLIENTS: usize = 32;
/// How long the clients ask one server before it is another's turn.
const TURN: Duration = Duration::from_millis(150);

const WARM_UP_TURNS: usize = 20;

fn main() {
    stay_on_core(0);
    // Connections of clients wait while the others ask.
    let header_timeout_ms = 600_000;
    let limits = Limits { requests_per_minute: u32::MAX, header_timeout_ms, ..Limits::default() };
    let town = Town::with_limits(limits);
    let folder = std::env::temp_dir().join(format!("limen-naive-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let naive_route = Router::new().route("/v1/people", post(naive)).with_state(database(&folder));
    let (naive_runtime, naive_address) = serve(naive_route);
    let hello_route = Router::new().route("/v1/people", post(hello));
    let (hello_runtime, hello_address) = serve(hello_route);

    stay_on_core(1);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let address = town.url.strip_prefix("http://").unwrap().parse().unwrap();
    let mut ours = Clients::new(&runtime, address, &town.token);
    let mut naive = Clients::new(&runtime, naive_address, "none");
    let mut hello = Clients::new(&runtime, hello_address, "none");

    let pair = Pair::of_rounds(|| ours.turn(), || naive.turn());
    Bench::rate("api_write", pair, 1.0, 8.0).report();
    let pair = Pair::of_rounds(|| ours.turn(), || hello.turn());
    Bench::rate("api_write_hello", pair, 1.0, 0.20).report();

    for runtime in [naive_runtime, hello_runtime] {
        runtime.shutdown_background();
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Keeps this thread, and those that it starts from now on, on one core. Where there is no such
/// core nothing changes.
fn stay_on_core(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).ok();
}

fn serve(route: Router) -> (Runtime, SocketAddr) {
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, route).await.unwrap() });
    (runtime, address)
}

async fn hello() -> Json<Value> {
    Json(json!({ "message": "hello" }))
}

type Database = Arc<Mutex<Connection>>;

fn database(folder: &std::path::Path) -> Database {
    let connection = Connection::open(folder.join("naive.db")).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    let tables = "CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, contact TEXT) STRICT;
                  CREATE TABLE audit (id INTEGER PRIMARY KEY, what TEXT) STRICT;";
    connection.execute_batch(tables).unwrap();
    Arc::new(Mutex::new(connection))
}

async fn naive(State(database): State<Database>, Json(person): Json<Value>) -> Json<Value> {
    let insert = move || {
        let mut connection = database.lock().unwrap();
        let transaction = connection.transaction().unwrap();
        let (name, contact) = (person["name"].as_str(), person["contact"].as_str());
        let sql = "INSERT INTO person (name, contact) VALUES (?1, ?2)";
        transaction.prepare_cached(sql).unwrap().execute((name, contact)).unwrap();
        let id = transaction.last_insert_rowid();
        let sql = "INSERT INTO audit (what) VALUES (?1)";
        let what = format!("person {id} registered");
        transaction.prepare_cached(sql).unwrap().execute([what]).unwrap();
        transaction.commit().unwrap();
        id
    };
    Json(json!({ "id": tokio::task::spawn_blocking(insert).await.unwrap() }))
}

/// Clients that keep their connections.
struct Clients<'r> {
    runtime: &'r Runtime,
    connections: Vec<TcpStream>,
    request: Vec<u8>,
}

impl<'r> Clients<'r> {
    fn new(runtime: &'r Runtime, address: SocketAddr, token: &str) -> Self {
        let body = json!({ "name": "Maria Johanna Lindqvist", "contact": "maria@example.org" });
        let body = body.to_string();
        let request = format!(
            "POST /v1/people HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let connect = async || {
            let connection = TcpStream::connect(address).await.unwrap();
            connection.set_nodelay(true).unwrap();
            connection
        };
        let connections = (0..CLIENTS).map(|_| runtime.block_on(connect())).collect();
        let mut clients = Self { runtime, connections, request: request.into_bytes() };
        // Until the write-ahead log of either database has its full length.
        for _ in 0..WARM_UP_TURNS {
            clients.turn();
        }
        clients
    }

    /// All clients ask for [`TURN`], each one request after another. Nanoseconds per request.
    fn turn(&mut self) -> f64 {
        let begin = Instant::now();
        let asking = self.connections.drain(..).map(|mut connection| {
            let request = self.request.clone();
            async move {
                let mut answers = 0_u32;
                while begin.elapsed() < TURN {
                    ask(&mut connection, &request).await;
                    answers += 1;
                }
                (connection, answers)
            }
        });
        let asking: Vec<_> = asking.map(|client| self.runtime.spawn(client)).collect();
        let mut answers = 0;
        for client in asking {
            let (connection, own) = self.runtime.block_on(client).unwrap();
            self.connections.push(connection);
            answers += own;
        }
        begin.elapsed().as_secs_f64() * 1e9 / f64::from(answers)
    }
}

/// Sends a request and reads the answer to its end; it must be a success.
async fn ask(connection: &mut TcpStream, request: &[u8]) {
    connection.write_all(request).await.unwrap();
    let mut answer = Vec::with_capacity(1024);
    loop {
        assert!(connection.read_buf(&mut answer).await.unwrap() > 0, "the server hung up");
        let text = std::str::from_utf8(&answer).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        assert!(head.starts_with("HTTP/1.1 20"), "{text}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() >= length.parse().unwrap() {
            return;
        }
    }
}
