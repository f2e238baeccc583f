//! A folder with a reader and a wallet in it, and what it takes to bring the two together.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use audit::journal::{Head, verify_run};
use credential::crypto::P256Secret;
use credential::rustcrypto::RustCrypto;
use edge::link::{Field, Link};
use edge::reader_host::{Deed, HostError, ReaderHost, TapReport};
use edge::wallet_host::{self, WalletHost};
use reader::decision::Reason;
use reader::journal::{Event, Outcome};
use wallet::pass::{Content, Document, Pass};
use wallet::secure_element::{Presence, PresenceRule, SecureElement};
use wallet::tap::{Consent, Shown, TapError};

use crate::city::{CRYPTO, City, door, noon};

static COUNT: AtomicU32 = AtomicU32::new(1);

/// Bytes that never come again within this process, nor in another that runs.
pub(crate) fn fresh<const N: usize>() -> [u8; N] {
    let count = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let process = std::process::id().to_be_bytes();
    let mut bytes = [0x5A; N];
    bytes[..4].copy_from_slice(&count);
    bytes[4..8].copy_from_slice(&process);
    bytes
}

fn secret() -> P256Secret {
    P256Secret::from_bytes(fresh())
}

/// A folder of its own, removed when dropped.
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    is_ours: bool,
}

pub(crate) const WALLET_KEY: [u8; 32] = [42; 32];

impl Place {
    /// An empty folder.
    pub(crate) fn empty() -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("limen-edge-suite-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self { path, is_ours: true }
    }

    /// A folder of somebody else.
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.into(), is_ours: false }
    }

    /// A reader that is enrolled and instructed, and a wallet with a ticket.
    pub(crate) fn ready(city: &City) -> Self {
        let place = Self::empty();
        place.enrol(city);
        place.reader().install_bundle(noon(), &city.bundle(1)).unwrap();
        place.make_wallet(city);
        place
    }

    pub(crate) fn enrol(&self, city: &City) {
        let (identity, key) = city.identity();
        identity.store(&self.reader_folder(), &key).unwrap();
    }

    pub(crate) fn make_wallet(&self, city: &City) {
        let (folder, nonces) = (self.wallet_folder(), [fresh(), fresh()]);
        let mut wallet = WalletHost::create(&folder, CRYPTO, WALLET_KEY, nonces).unwrap();
        wallet.state.trust = city.trust();
        let key = wallet.element.generate(CRYPTO, fresh(), PresenceRule::NotNeeded).unwrap();
        let public = wallet.element.public_key(key).unwrap();
        let content = Content::Mdoc(city.ticket(&public));
        let anchors = wallet.state.trust.issuer_anchors();
        let document = Document::accept(CRYPTO, content, &[(key, public)], anchors, noon());
        wallet.state.passes.push(Pass {
            name: "Ticket".into(),
            issuer: "https://city.example".into(),
            configuration: "ticket".into(),
            documents: vec![document.unwrap()],
        });
        save(&wallet);
    }

    pub(crate) fn reader_folder(&self) -> PathBuf {
        self.path.join("reader")
    }

    pub(crate) fn wallet_folder(&self) -> PathBuf {
        self.path.join("wallet")
    }

    pub(crate) fn try_reader(&self) -> Result<ReaderHost, HostError> {
        ReaderHost::open(&self.reader_folder(), Box::new(RustCrypto))
    }

    #[cfg(feature = "pcsc")]
    pub(crate) fn reader_with(&self, settings: edge::reader_host::Settings) -> ReaderHost {
        let crypto = Box::new(RustCrypto);
        ReaderHost::open_with(&self.reader_folder(), crypto, settings).unwrap()
    }

    pub(crate) fn reader(&self) -> ReaderHost {
        self.try_reader().unwrap()
    }

    pub(crate) fn wallet(&self) -> WalletHost {
        WalletHost::open(&self.wallet_folder(), CRYPTO, WALLET_KEY).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

pub(crate) fn save(wallet: &WalletHost) {
    wallet.save(CRYPTO, [fresh(), fresh()]).unwrap();
}

/// One tap of whatever `phone` does at its end of the link.
pub(crate) fn tap_by<T: Send>(
    reader: &mut ReaderHost,
    prepare: impl FnOnce(&mut Link),
    phone: impl FnOnce(Link) -> T + Send,
) -> (TapReport, T) {
    let field = Field::open(0).unwrap();
    let address = field.address().unwrap();
    thread::scope(|scope| {
        let phone = scope.spawn(move || phone(Link::connect(address).unwrap()));
        let mut link = field.accept().unwrap();
        prepare(&mut link);
        let report = reader.tap(&mut link, door(), secret(), &noon).unwrap();
        drop(link);
        (report, phone.join().unwrap())
    })
}

/// What a wallet does at its end of the link.
pub(crate) fn show(wallet: &mut WalletHost, mut link: Link) -> Result<Shown, TapError> {
    let tap = wallet_host::tap(CRYPTO, noon(), secret()).unwrap();
    let mut decide = |_: &_| Consent::Show { candidate: 0, presence: Presence::Unknown };
    wallet.present(&mut link, CRYPTO, tap, &noon, &mut decide).unwrap()
}

/// One whole tap: what the reader did, and what the wallet says of it.
pub(crate) fn tap(
    reader: &mut ReaderHost,
    wallet: &mut WalletHost,
) -> (TapReport, Result<Shown, TapError>) {
    tap_by(reader, |_| {}, |link| show(wallet, link))
}

/// A tap that must open the door.
pub(crate) fn granted(reader: &mut ReaderHost, wallet: &mut WalletHost) {
    let (report, shown) = tap(reader, wallet);
    assert_eq!(deed(&report), Ok(()));
    shown.unwrap();
}

/// Whether a door opened, or why not.
pub(crate) fn deed(report: &TapReport) -> Result<(), Reason> {
    match &report.deed {
        Deed::Unlock { duration_ms } => {
            assert_eq!(*duration_ms, crate::city::UNLOCK_MS);
            Ok(())
        }
        Deed::Refuse { reason, .. } => Err(*reason),
    }
}

/// What the records say that the city has not got yet, from the one with this number on.
pub(crate) fn events(reader: &ReaderHost) -> Vec<Event> {
    let mut events = Vec::new();
    if let Some(upload) = reader.pending_upload(noon()).unwrap() {
        for record in upload.records {
            let (record, rest) = audit::journal::split_record(record, 0).unwrap();
            assert!(rest.is_empty());
            events.push(Event::decode(record.payload).unwrap());
        }
    }
    events
}

pub(crate) fn grants(reader: &ReaderHost) -> usize {
    let is_grant = |event: &&Event| matches!(event.outcome, Outcome::Granted { .. });
    events(reader).iter().filter(is_grant).count()
}

/// Records of these payloads, one after the other, and the head after them.
pub(crate) fn records(
    head: &Head,
    payloads: impl Iterator<Item = Vec<u8>>,
) -> (Vec<Vec<u8>>, Head) {
    let mut head = *head;
    let mut records = Vec::new();
    for payload in payloads {
        let (record, next) = head.append(noon(), &payload).unwrap();
        records.push(record);
        head = next;
    }
    assert!(verify_run(&Head::start(*head.journal()), &records.concat(), |_| {}).is_ok());
    (records, head)
}

/// An error with all that lies behind it, as a person sees it.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
