//! What issuing a document costs with a key on a token, against the token's bare signature; and what
//! 64 requests at a time do to it.
//!
//! Both keep the token busy all the time, so the clock on the wall counts: while the token signs one
//! document, the next is put together beside it. The token is SoftHSM2 in a folder of its own; its
//! configuration comes from the environment, so the benchmark starts itself again with it set.
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    unreachable_pub,
    missing_docs,
    reason = "a benchmark may panic, and uses a part of what all share"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use credential::aws_lc::AwsLc;
use credential::crypto::PublicKey;
use credential::mdoc::{self, IssueRequest, NameSpace, Validity};
use credential::status::StatusReference;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass};
use keys::custody::{Custody as _, Key, NewKey};
use keys::object::TypedObject;
use keys::purpose::Purpose;
use keys::token::pin::Pin;
use keys::token::{Role, Settings, Token};
use tokio::runtime::Runtime;

use support::city::City;
use support::licence::{DOC_TYPE, NAME_SPACE, Order, STATUS_INDEX, STATUS_URI, elements};
use support::measure::{Bench, Pair, time, wall};

const CONFIGURATION: &str = "SOFTHSM2_CONF";
const FOLDER: &str = "LIMEN_BENCH_SOFTHSM";
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "271828";
const LABEL: &str = "bench";
/// Documents in one measurement.
const DOCUMENTS: u32 = 512;
/// How many requests at a time keep the token busy.
const FEW: [u32; 4] = [2, 4, 8, 16];
/// How many requests at a time must not make it slower.
const MANY: u32 = 64;

fn main() {
    match std::env::var_os(FOLDER) {
        Some(_) => measure(),
        None => with_token(),
    }
}

/// Makes a token and starts this program again with it.
fn with_token() {
    let folder = std::env::temp_dir().join(format!("limen-bench-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("tokens")).unwrap();
    let configuration: PathBuf = folder.join("softhsm2.conf");
    let tokens = folder.join("tokens");
    let text = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
    std::fs::write(&configuration, text).unwrap();
    let set = |program: &Path| {
        let mut command = Command::new(program);
        command.env(CONFIGURATION, &configuration).env(FOLDER, &folder);
        command
    };
    let arguments = ["--init-token", "--free", "--label", LABEL, "--so-pin", PIN, "--pin", PIN];
    let made = set(Path::new("softhsm2-util")).args(arguments).output().unwrap();
    assert!(made.status.success(), "softhsm2-util: run `cargo xtask setup`");
    let status = set(&std::env::current_exe().unwrap()).args(std::env::args().skip(1)).status();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(status.unwrap().success());
}

/// What all requests share.
struct Office {
    token: Token,
    key: Key,
    city: City,
    order: Order,
    /// Of the wallet: it comes with the request and is not made here.
    device_key: PublicKey,
    validity: Validity,
}

impl Office {
    /// Issues one document, as a server does.
    async fn issue(&self) {
        let chain: [&[u8]; 1] = [&self.city.signer_certificate];
        let elements: Vec<(&str, &[u8])> = self
            .order
            .elements
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect();
        let request = IssueRequest {
            doc_type: DOC_TYPE,
            name_spaces: &[NameSpace { name: NAME_SPACE, elements: &elements }],
            device_key: &self.device_key,
            authorized_name_spaces: &[],
            validity: self.validity,
            status: Some(StatusReference { uri: STATUS_URI, index: STATUS_INDEX }),
        };
        let unsigned = mdoc::issue(&AwsLc, &request, &chain, &self.order.entropy).unwrap();
        let object_type = self.key.purpose.object_type();
        let object = TypedObject::parse(object_type, unsigned.to_be_signed()).unwrap();
        let signature = self.token.sign(&self.key.handle, &object).await.unwrap();
        std::hint::black_box(unsigned.complete(&signature));
    }
}

/// Nanoseconds of one of [`DOCUMENTS`] documents, of which so many are under way at a time.
fn issue(runtime: &Runtime, office: &Arc<Office>, at_a_time: u32) -> f64 {
    let left = Arc::new(AtomicU32::new(DOCUMENTS));
    let all = || {
        let requests: Vec<_> = (0..at_a_time)
            .map(|_| {
                let (office, left) = (Arc::clone(office), Arc::clone(&left));
                let take = move || {
                    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                };
                runtime.spawn(async move {
                    while take().is_ok() {
                        office.issue().await;
                    }
                })
            })
            .collect();
        runtime.block_on(async {
            for request in requests {
                request.await.unwrap();
            }
        });
    };
    time(wall, 1, &mut { all }) / f64::from(DOCUMENTS)
}

/// Nanoseconds of one of so many bare signatures on `threads` sessions.
fn sign(office: &Office, threads: u32) -> f64 {
    let each = DOCUMENTS / threads;
    let one = || {
        let signed = office.token.pool().once(|session| {
            let class = [Attribute::Class(ObjectClass::PRIVATE_KEY)];
            let key = session.find_objects(&class)?[0];
            for _ in 0..each {
                std::hint::black_box(session.sign(&Mechanism::Ecdsa, key, &[7; 32])?);
            }
            Ok(())
        });
        signed.unwrap();
    };
    let all = || std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(one))));
    time(wall, 1, &mut { all }) / f64::from(each * threads)
}

fn measure() {
    let settings = Settings { module: MODULE.into(), label: LABEL.to_owned() };
    let token = Token::open(&settings, Pin::new(PIN).unwrap(), Role::City).unwrap();
    let city = City::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let request = NewKey::active(Purpose::DocumentSignerMdoc, None, city.at(0));
    let key = runtime.block_on(token.generate(request)).unwrap();
    let validity = Validity {
        signed: city.at(0),
        valid_from: city.at(0),
        valid_until: city.at(30),
        expected_update: None,
    };
    let (order, device_key) = (Order::of(elements()), city.device.public());
    let office = Arc::new(Office { token, key, city, order, device_key, validity });

    // The token's own parallelism: as many threads as make it fastest.
    let threads = fastest([1, 2], |threads| sign(&office, threads));
    let few = fastest(FEW, |few| issue(&runtime, &office, few));
    eprintln!("threads that sign: {threads}; requests at a time: {few}");
    let bare = || sign(&office, threads);
    let pair = Pair::of_rounds(|| issue(&runtime, &office, few), bare);
    Bench::cost("issue_pkcs11", pair, 1.10).report();
    let many = || issue(&runtime, &office, MANY);
    let pair = Pair::of_rounds(many, || issue(&runtime, &office, few));
    Bench::rate("issue_pkcs11_64", pair, 1.0, 0.90).report();
}

/// Which of `choices` takes the least time, by the median of five.
fn fastest<const N: usize>(choices: [u32; N], mut measure: impl FnMut(u32) -> f64) -> u32 {
    let mut timed = choices.map(|choice| {
        let times = (0..5).map(|_| measure(choice)).collect();
        (support::measure::median(times), choice)
    });
    timed.sort_by(|one, other| one.0.total_cmp(&other.0));
    timed[0].1
}
