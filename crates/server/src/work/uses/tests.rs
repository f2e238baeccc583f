//! The journal of a key service in this process, and what becomes of it between two anchors.

use std::path::{Path, PathBuf};
use std::time::Duration;

use audit::journal::split_record;
use keys::seal::Kind;
use keys::service::config::{Client, Config as KeysConfig, Sealed};
use keys::service::serve::Service;
use keys::software::Keystore;
use keys::unlock::Unlock;
use keys::wire::pairing::Pairing;
use store::log::sequencer::CheckpointSigner;
use store::page::Page;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;
use crate::city::ceremony::{Custodians, Founding, create_city};
use crate::city::files::{RootFile, open_keeper};
use crate::city::uses::broken;
use crate::config::{CLIENT, Config, Http, Keys, Limits, Store};
use crate::start::LogSigner;
use crate::world::now;

const PATIENCE: Duration = Duration::from_secs(60);

/// A city with a key service, both in this process.
struct Home {
    folder: PathBuf,
    config: Config,
    keys: KeysConfig,
    running: Option<(watch::Sender<bool>, JoinHandle<()>)>,
}

impl Home {
    async fn new(name: &str) -> (Self, Server) {
        let folder = std::env::temp_dir().join(format!("limen-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("data")).unwrap();
        let path = |name: &str| folder.join(name);
        Unlock::create_key_file(&path("city.key")).unwrap();
        let unlock = Unlock::key_file(&path("city.key"), &path("data")).unwrap();
        Keystore::create(&path("city.keys"), Kind::Server, &unlock).unwrap();
        Pairing::create(&[&path("server.pairing")]).unwrap();
        let sealed = Sealed {
            path: path("city.keys"),
            key_file: Some(path("city.key")),
            passphrase_file: None,
        };
        let client = Client {
            name: CLIENT.into(),
            pairing: path("server.pairing"),
            uid: None,
            sign: Purpose::ALL.iter().map(ToString::to_string).collect(),
            generate: true,
            set_state: true,
            destroy: true,
            vault: Vec::new(),
            signatures_per_minute: 60_000,
        };
        let keys = KeysConfig {
            socket: path("run/keys.sock"),
            group: None,
            journal: path("uses"),
            same_user: true,
            keystore: Some(sealed),
            token: None,
            halves: None,
            retiring: None,
            vault: None,
            clients: vec![client],
        };
        let http = Http {
            listen: "127.0.0.1:1".parse().unwrap(),
            public_url: "http://127.0.0.1:1".into(),
            tls_cert: None,
            tls_key: None,
        };
        let of_keys = Keys {
            service: Some(path("run/keys.sock")),
            pairing: Some(path("server.pairing")),
            ..Keys::default()
        };
        let store = Store { data: path("data") };
        let config = Config { http, store, keys: of_keys, limits: Limits::default() };
        let mut home = Self { folder, config, keys, running: None };
        home.open();
        home.found(&unlock).await;
        let server = Server::open(&home.config).await.unwrap();
        (home, server)
    }

    async fn found(&self, unlock: &Unlock) {
        let root = RootFile { path: &self.folder.join("root.keys"), unlock }.create().unwrap();
        let keeper = open_keeper(&self.config).await.unwrap();
        let custodians = Custodians { root: &root, city: &*keeper.custody };
        let (name, operators) = ("Testhaven".parse().unwrap(), Vec::new());
        let founding = Founding { name, country: "UT".into(), operators };
        create_city(&self.config, custodians, &founding, now()).await.unwrap();
    }

    fn open(&mut self) {
        let (stop, stopped) = watch::channel(false);
        let service = Service::start(&self.keys).unwrap();
        self.running = Some((stop, tokio::spawn(service.run(stopped))));
    }

    /// Does something to the journal while the service does not run.
    async fn meanwhile(&mut self, server: &Server, change: impl FnOnce(&Path)) {
        let (stop, task) = self.running.take().unwrap();
        stop.send_replace(true);
        task.await.unwrap();
        change(&self.keys.journal);
        self.open();
        let service = server.key_service.as_ref().unwrap();
        let back = async { while service.status().await.is_err() {} };
        tokio::time::timeout(PATIENCE, back).await.unwrap();
    }

    /// What was found, and how often it stands in the log.
    async fn told(&self, server: &Server) -> (Option<Break>, usize) {
        for _ in 0..3 {
            anchor(server, now()).await;
        }
        let events = server.store.for_operator(&city()).events(&Page::FIRST).await.unwrap();
        let told = events.items.iter().filter(|it| it.entry.kind.as_str() == "key-uses-broken");
        (server.findings.broken(), told.count())
    }

    async fn broken(&self, server: &Server) -> Option<Break> {
        broken(&self.config, server.key_service.as_ref().unwrap()).await.unwrap()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn file(journal: &Path) -> PathBuf {
    journal.join("00000000000000000000.uses")
}

/// Cuts off the last record, to the byte.
fn cut(journal: &Path) {
    let bytes = std::fs::read(file(journal)).unwrap();
    let (mut rest, mut last) = (bytes.as_slice(), 0);
    while let Ok((_, after)) = split_record(rest, 0) {
        (last, rest) = (bytes.len() - rest.len(), after);
    }
    std::fs::write(file(journal), &bytes[..last]).unwrap();
}

/// Leaves out one record, and makes a chain of the others.
fn forge(journal: &Path) {
    let bytes = std::fs::read(file(journal)).unwrap();
    let name = std::fs::read(journal.join("name")).unwrap().try_into().unwrap();
    let (mut head, mut forged, mut rest) = (Head::start(name), Vec::new(), bytes.as_slice());
    while let Ok((record, after)) = split_record(rest, 0) {
        if record.sequence != 1 {
            let (bytes, next) = head.append(record.at, record.payload).unwrap();
            forged.extend_from_slice(&bytes);
            head = next;
        }
        rest = after;
    }
    std::fs::write(file(journal), &forged).unwrap();
}

async fn sign_checkpoint(server: &Server) {
    let signer = LogSigner::of(server).unwrap();
    let [key] = <[_; 1]>::try_from(signer.keys()).unwrap();
    let root = audit::hash::Hash::from_bytes([7; 32]).to_base64();
    let text = format!("{}\n1\n{root}\n", server.city.log_origin);
    signer.sign(&key, text.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn use_that_was_read_and_is_cut_off_is_told_though_no_anchor_names_it() {
    let (mut home, server) = Home::new("uses-cut").await;
    assert_eq!(home.told(&server).await, (None, 0));
    // The log's own uses are read, and make no anchor.
    sign_checkpoint(&server).await;
    home.meanwhile(&server, |_| {}).await;
    assert_eq!(home.told(&server).await, (None, 0), "the control");
    let (_, entries, _) = server.key_service.as_ref().unwrap().uses(u64::MAX).await.unwrap();
    home.meanwhile(&server, cut).await;
    let broken = Some(Break::Shorter { known: entries });
    assert_eq!(home.told(&server).await, (broken, 1));
    assert_eq!(home.broken(&server).await, None, "the newest anchor is older");
}

#[tokio::test]
async fn journal_that_contradicts_its_anchor_is_told_at_the_next_contact() {
    let (mut home, server) = Home::new("uses-forged").await;
    home.told(&server).await;
    assert_eq!(home.broken(&server).await, None, "the control");
    home.meanwhile(&server, forge).await;
    assert!(home.broken(&server).await.is_some());
    let server = Server::open(&home.config).await.unwrap();
    let (broken, told) = home.told(&server).await;
    assert!(matches!(broken, Some(Break::Shorter { .. } | Break::Forked { .. })), "{broken:?}");
    assert_eq!(told, 1);
}

#[tokio::test]
async fn another_journal_is_told_and_anchored_from_its_beginning() {
    let (mut home, server) = Home::new("uses-another").await;
    home.told(&server).await;
    home.meanwhile(&server, |journal| std::fs::remove_dir_all(journal).unwrap()).await;
    assert!(matches!(home.broken(&server).await, Some(Break::Another { .. })));
    let (broken, told) = home.told(&server).await;
    assert!(matches!(broken, Some(Break::Another { .. })), "{broken:?}");
    assert_eq!(told, 1);
    let operator = Some("harbour".parse().unwrap());
    let new = keys::custody::NewKey::active(Purpose::IssuingAuthority, operator, now());
    server.custody.generate(new).await.unwrap();
    assert_eq!(home.told(&server).await, (broken, 1));
    assert_eq!(home.broken(&server).await, None, "the new one is anchored");
}
