//! What it costs to append to the audit log: in memory above the two hashes that RFC 6962 demands,
//! and durably against the bare disk.
//!
//! Durable is the path of every deed: through `store` into SQLite (WAL, `synchronous=FULL`), one
//! transaction and one flush for 1 or 64 leaves, once the write-ahead log has its full length. The
//! bare disk is a file whose blocks are all
//! written beforehand, overwritten in place, flushed by `fdatasync`. Both are in the build folder,
//! on one disk.
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

#[path = "support/clock.rs"]
mod clock;
#[path = "../../../benches/measure.rs"]
mod measure;

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use audit::entry::{Commitment, CommitmentKey, Entry, Pseudonym};
use audit::hash::{leaf_hash, node_hash};
use audit::tiles::Appender;
use store::commit::{AuditEntry, Change, Commit};
use store::sqlite::{Options, Sqlite};
use store::store::{Store, TenantStore};
use tokio::runtime::Runtime;
use vocabulary::code::OperatorCode;
use vocabulary::id::EventId;
use vocabulary::time::Instant;

use clock::cpu;
use measure::{Bench, Pair, wall};

const ENTRY_BYTES: usize = 200;
/// Appends between two publications of the log.
const PUBLISHED_AT_ONCE: usize = 4096;
/// A round on the disk: some flushes of a slow one.
const DISK_ROUND: Duration = Duration::from_millis(40);

/// Until the write-ahead log is so long, each commit makes it longer, which costs the file system
/// more than a flush. From then on it is overwritten.
const WRITE_AHEAD_BYTES: u64 = 16 << 20;
const WARM_UP_LEAVES: u64 = 512;

fn main() {
    memory();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("audit-bench");
    std::fs::remove_dir_all(&folder).ok();
    std::fs::create_dir_all(&folder).unwrap();
    durable(&folder, "audit_durable_64", 64, 0.75);
    durable(&folder, "audit_durable_1", 1, 0.90);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Appends with everything that publishing needs, files included, against the bare hashes, which
/// are those of `audit` because they are the fastest that we know.
fn memory() {
    let entry = [7; ENTRY_BYTES];
    let mut appender = Appender::default();
    let job = || {
        for _ in 0..PUBLISHED_AT_ONCE {
            appender.append(black_box(&entry)).unwrap();
        }
        black_box((appender.take_files(), appender.root()));
    };
    let mut left = leaf_hash(&entry);
    let baseline = || {
        for _ in 0..PUBLISHED_AT_ONCE {
            let leaf = leaf_hash(black_box(&entry));
            left = node_hash(&left, &leaf);
        }
        black_box(left);
    };
    let pair = Pair::measure(cpu, Duration::from_millis(20), job, baseline);
    let each = |ns: f64| ns / PUBLISHED_AT_ONCE as f64;
    let pair = Pair { job_ns: each(pair.job_ns), baseline_ns: each(pair.baseline_ns), ..pair };
    Bench::cost("audit_memory", pair, 1.15).report();
}

fn durable(folder: &Path, name: &'static str, batch: u64, goal: f64) {
    let runtime = Runtime::new().unwrap();
    let options = Options { folder: folder.join(name), pages_max: None };
    let store = Store::new(Sqlite::open(&options).unwrap());
    let operator: OperatorCode = "harbour".parse().unwrap();
    let mut log = Log { store: store.for_operator(&operator), operator, number: 0 };
    let mut raw = Raw::new(folder.join(format!("{name}.raw")));
    let write_ahead_log = options.folder.join("limen.db-wal");
    while std::fs::metadata(&write_ahead_log).unwrap().len() < WRITE_AHEAD_BYTES {
        runtime.block_on(log.append(WARM_UP_LEAVES));
    }
    let entry = log.entry().entry.encode();
    let record = entry.repeat(usize::try_from(batch).unwrap());

    let job = || runtime.block_on(log.append(batch));
    let pair = Pair::measure(wall, DISK_ROUND, job, || raw.append(&record));
    Bench::rate(name, pair, batch as f64, goal).report();
}

/// The audit log behind a store.
struct Log {
    store: TenantStore,
    operator: OperatorCode,
    number: u64,
}

impl Log {
    /// One deed that takes note of others, so that it writes `count` leaves.
    async fn append(&mut self, count: u64) {
        let changes = (1..count).map(|_| Change::Noted(self.entry())).collect();
        let commit = Commit { changes, entry: self.entry(), jobs: Vec::new() };
        self.store.commit(commit).await.unwrap();
    }

    fn entry(&mut self) -> AuditEntry {
        self.number += 1;
        let key = CommitmentKey::from_bytes([9; 32]);
        let at = Instant::from_unix_seconds(1_790_000_000);
        let mut entropy = [0; 10];
        entropy[2..].copy_from_slice(&self.number.to_be_bytes());
        let entry = Entry {
            at,
            event: EventId::new(at, entropy),
            kind: "person-registered".parse().unwrap(),
            operator: self.operator.clone(),
            actor: Pseudonym::of(&key, b"clerk"),
            object: Pseudonym::of(&key, &entropy),
            commitment: Commitment::over(&key, &entropy),
        };
        AuditEntry { entry, detail: None }
    }
}

/// A preallocated file that is overwritten from its beginning again and again.
struct Raw {
    file: File,
    at: u64,
}

const RAW_BYTES: u64 = 16 << 20;

impl Raw {
    fn new(path: PathBuf) -> Self {
        let file = File::create_new(path).unwrap();
        let zeros = vec![0; RAW_BYTES as usize];
        file.write_all_at(&zeros, 0).unwrap();
        file.sync_all().unwrap();
        Self { file, at: 0 }
    }

    fn append(&mut self, record: &[u8]) {
        if self.at + record.len() as u64 > RAW_BYTES {
            self.at = 0;
        }
        self.file.write_all_at(record, self.at).unwrap();
        self.file.sync_data().unwrap();
        self.at += record.len() as u64;
    }
}
