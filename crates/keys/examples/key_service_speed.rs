//! How many signatures a second the key service makes over its socket, one and 64 at a time, beside
//! the keystore alone and beside a bare flush of the same disk:
//! `cargo run --release -p keys --example key_service_speed`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement may end with a panic, and prints figures"
)]

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use credential::cbor::Encoder;
use keys::custody::{Custody, KeyHandle, NewKey};
use keys::object::{ObjectType, TypedObject};
use keys::purpose::Purpose;
use keys::remote::{Remote, Settings};
use keys::seal::Kind;
use keys::service::config::{Client, Config, Sealed};
use keys::service::serve::Service;
use keys::software::Keystore;
use keys::unlock::Unlock;
use keys::wire::pairing::Pairing;
use tokio::sync::watch;
use vocabulary::time::Instant as At;

const SPAN: Duration = Duration::from_secs(3);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let folder = std::env::temp_dir().join(format!("limen-key-speed-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("uses")).unwrap();
    let (path, key_file) = (folder.join("city.keys"), folder.join("city.key"));
    Unlock::create_key_file(&key_file).unwrap();
    let unlock = Unlock::key_file(&key_file, &folder.join("uses")).unwrap();
    let store = Keystore::create(&path, Kind::Server, &unlock).unwrap();
    let new = NewKey::active(Purpose::DocumentSignerMdoc, None, At::from_unix_seconds(0));
    let handle = store.generate(new).await.unwrap().handle;
    let bare = rate(&Arc::new(store), handle, 1).await;
    let flush = flushes(&folder.join("flush"));

    let pairing = folder.join("p");
    Pairing::create(&[&pairing]).unwrap();
    let client = Client {
        name: "server".into(),
        pairing: pairing.clone(),
        uid: None,
        sign: vec!["document-signer-mdoc".into()],
        generate: false,
        set_state: false,
        destroy: false,
        vault: Vec::new(),
        signatures_per_minute: 60_000_000,
    };
    let config = Config {
        socket: folder.join("run/s"),
        group: None,
        journal: folder.join("uses"),
        same_user: true,
        keystore: Some(Sealed { path, key_file: Some(key_file), passphrase_file: None }),
        token: None,
        halves: None,
        retiring: None,
        vault: None,
        clients: vec![client],
    };
    let (stop, stopped) = watch::channel(false);
    // The service has its own threads, as its own process would.
    let service = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async { Service::start(&config).unwrap().run(stopped).await });
    });
    let socket = folder.join("run/s");
    while !socket.exists() {
        std::thread::yield_now();
    }
    let pairing = Pairing::open("server", &pairing).unwrap();
    let remote = Remote::connect(Settings { socket, uid: None, pairing }).await.unwrap();
    let remote = Arc::new(remote);
    println!("keystore alone, one thread: {bare:.0} signatures a second");
    println!("flushes of this disk, one after another: {flush:.0} a second");
    for flight in [1, 64, 256] {
        let rate = rate(&remote, handle, flight).await;
        println!("key service, {flight} in flight: {rate:.0} signatures a second");
    }
    stop.send_replace(true);
    service.join().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}

async fn rate<C: Custody + 'static>(custody: &Arc<C>, handle: KeyHandle, flight: usize) -> f64 {
    let object: Arc<[u8]> = object().into();
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..flight {
        let (custody, object) = (Arc::clone(custody), Arc::clone(&object));
        tasks.spawn(async move {
            let mut count = 0_u64;
            while began.elapsed() < SPAN {
                let typed = TypedObject::parse(ObjectType::MobileSecurityObject, &object).unwrap();
                custody.sign(&handle, &typed).await.unwrap();
                count += 1;
            }
            count
        });
    }
    let count: u64 = tasks.join_all().await.into_iter().sum();
    count as f64 / began.elapsed().as_secs_f64()
}

fn flushes(path: &std::path::Path) -> f64 {
    let (mut file, began, mut count) = (File::create(path).unwrap(), Instant::now(), 0_u64);
    while began.elapsed() < SPAN {
        file.write_all(&[0; 220]).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    count as f64 / began.elapsed().as_secs_f64()
}

/// A mobile security object of some 1.5 KB, as it is signed.
fn object() -> Vec<u8> {
    let mut mso = Encoder::new();
    mso.map(6);
    for member in ["version", "digestAlgorithm", "deviceKeyInfo", "docType", "validityInfo"] {
        mso.text(member).map(0);
    }
    mso.text("valueDigests").map(40);
    for digest in 0..40 {
        mso.unsigned(digest).bytes(&[7; 32]);
    }
    let mut payload = Encoder::new();
    payload.embedded(mso.as_bytes());
    let mut protected = Encoder::new();
    protected.map(1).integer(1).integer(-7);
    let mut signed = Encoder::new();
    signed.array(4).text("Signature1").bytes(protected.as_bytes()).bytes(&[]);
    signed.bytes(payload.as_bytes());
    signed.into_bytes()
}
