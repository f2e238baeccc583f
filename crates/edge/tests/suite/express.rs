//! The express tap of a wallet on a disk: what is durable when an answer leaves, and the element of a
//! gate at the other end.

use std::collections::BTreeSet;
use std::fs;
use std::thread;

use credential::aws_lc::AwsLc;
use credential::crypto::P256Secret;
use credential::jose::{base64url, json};
use edge::link::{Field, Link};
use edge::wallet_host::{self, WalletHost};
use presentation::express::handle::{Content, Index};
use presentation::express::issuing::{Batch, Statement};
use presentation::express::reader::{KeysInMemory, Proven, ReaderEnd, ReaderError, Step, Terms};
use presentation::express::schedule::ScopeKeys;
use presentation::express::wire::Apdu;
use presentation::express::{Context, ScopeId, Transport};
use vocabulary::id::ReaderId;
use wallet::express::fetch::{Fetch, Short, shortages};
use wallet::tap::Consent;

use crate::city::{CRYPTO, City, noon};
use crate::place::{Place, WALLET_KEY, fresh, save};

const FILE: &str = "wallet.sealed";

fn keys_of(short: &Short) -> ScopeKeys {
    let scope = ScopeId::new(&AwsLc, &short.scope.operator, short.scope.zone.as_ref());
    ScopeKeys::derive(&AwsLc, &[9; 32], Context { scope, epoch: short.epoch })
}

/// A wallet with handles for today, as if a key service had made them.
fn with_handles(place: &Place) -> Short {
    let mut wallet = place.wallet();
    let short = shortages(&wallet.state, &wallet.element, noon()).into_iter().next().unwrap();
    let (state, element) = (&wallet.state, &mut wallet.element);
    let begun = Fetch::begin(CRYPTO, element, state, short.clone(), fresh(), noon());
    let (fetch, body) = begun.unwrap();
    let body = json::parse(&body).unwrap();
    let statement = body["statement"].as_str().unwrap();
    let statement = Statement::parse(&base64url::decode(statement).unwrap()).unwrap();
    let keys = keys_of(&short);
    let handles = (0..short.count).map(|number| {
        let status = Index { list: [2; 4], index: 7 };
        let (needs_presence, is_counted, product, class) = (false, false, [1; 8], None);
        let (not_before, not_after) = (0, u32::MAX);
        let content = Content {
            needs_presence,
            is_counted,
            product,
            class,
            status,
            not_before,
            not_after,
            number,
        };
        keys.seal(&AwsLc, &content, fresh())
    });
    let handles = handles.collect();
    let batch = Batch { scope: short.scope.clone(), epoch: short.epoch.into(), handles };
    let sealed = batch.seal(&AwsLc, &P256Secret::from_bytes([8; 32]), &statement.point).unwrap();
    let answer = format!(r#"{{"answer":"{}"}}"#, base64url::encode(&sealed.encode()));
    let (state, element) = (&mut wallet.state, &mut wallet.element);
    let taken = fetch.finish(CRYPTO, element, state, answer.as_bytes());
    assert_eq!(taken, Ok(short.count.into()));
    save(&wallet);
    short
}

/// One tap by a gate that looks at the disk after every answer.
fn tap(
    wallet: &mut WalletHost,
    short: &Short,
    mut look: impl FnMut(&[u8]) + Send,
) -> Result<Proven, ReaderError> {
    let field = Field::open(0).unwrap();
    let address = field.address().unwrap();
    thread::scope(|scope| {
        let gate = scope.spawn(move || {
            let mut link = field.accept().unwrap();
            let keys = [keys_of(short)];
            let opener = KeysInMemory { crypto: &AwsLc, keys: &keys };
            let (transport, context) = (Transport::Nfc, keys[0].context());
            let reader = ReaderId::from_bytes([5; 16]);
            let mut end =
                ReaderEnd::new(Terms { transport, context, fresh: fresh(), reader, at: 1_000 });
            let mut command = Apdu::select();
            loop {
                link.send(command.as_bytes()).unwrap();
                let answer = link.receive().unwrap();
                look(&answer);
                command = match end.handle(&AwsLc, &opener, &answer)? {
                    Step::Command(command) => command,
                    Step::Opened(_) => end.prove(&AwsLc)?,
                    Step::Proven(proven) => return Ok(proven),
                    Step::Committed => panic!("nothing was written"),
                };
            }
        });
        let mut link = Link::connect(address).unwrap();
        let tap = wallet_host::tap(CRYPTO, noon(), P256Secret::from_bytes(fresh())).unwrap();
        let mut nobody = |_: &_| Consent::Decline;
        let shown = wallet.present(&mut link, CRYPTO, tap, &noon, &mut nobody).unwrap();
        drop(link);
        let tapped = gate.join().unwrap();
        assert_eq!(shown.is_ok(), tapped.is_ok());
        tapped
    })
}

/// A wallet as it was when the disk was like this.
fn revived(bytes: &[u8]) -> (Place, WalletHost) {
    let place = Place::empty();
    fs::create_dir_all(place.wallet_folder()).unwrap();
    fs::write(place.wallet_folder().join(FILE), bytes).unwrap();
    let wallet = place.wallet();
    (place, wallet)
}

#[test]
fn what_an_answer_shows_is_durable_before_it_leaves() {
    let city = City::new();
    let place = Place::ready(&city);
    let short = with_handles(&place);
    let file = place.wallet_folder().join(FILE);
    let before = fs::read(&file).unwrap();
    let mut wallet = place.wallet();
    let mut disks: Vec<Vec<u8>> = Vec::new();
    let first = tap(&mut wallet, &short, |_| disks.push(fs::read(&file).unwrap())).unwrap();
    assert_eq!((first.taps, disks.len()), (1, 3));
    assert_eq!(disks[0], before, "SELECT changes nothing");
    // Control: who goes on from before OPEN shows the same handle again.
    for (disk, is_double, taps) in
        [(&disks[0], true, 1), (&disks[1], false, 1), (&disks[2], false, 2)]
    {
        let (_place, mut wallet) = revived(disk);
        let proven = tap(&mut wallet, &short, |_| {}).unwrap();
        assert_eq!(proven.content.number == first.content.number, is_double);
        assert_eq!(proven.taps, taps);
    }
    assert_eq!(wallet.state.log.last().unwrap().outcome, "express tap");
    // All that there are, each once, whoever opens the folder between.
    let mut numbers = BTreeSet::from([first.content.number]);
    drop(wallet);
    for _ in 1..short.count {
        let mut wallet = WalletHost::open(&place.wallet_folder(), CRYPTO, WALLET_KEY).unwrap();
        assert!(numbers.insert(tap(&mut wallet, &short, |_| {}).unwrap().content.number));
    }
    assert_eq!(numbers.len(), usize::from(short.count));
    assert!(tap(&mut place.wallet(), &short, |_| {}).is_err(), "there are no more");
}

#[test]
fn a_wallet_that_cannot_be_written_shows_nothing() {
    let city = City::new();
    let place = Place::ready(&city);
    let short = with_handles(&place);
    let mut wallet = place.wallet();
    let left =
        |wallet: &WalletHost| wallet.state.express.left().map(|it| it.handles).sum::<usize>();
    let before = left(&wallet);
    // The folder is gone, as a disk that was pulled out.
    let away = place.path.join("away");
    fs::rename(place.wallet_folder(), &away).unwrap();
    let mut seen = Vec::new();
    assert!(tap(&mut wallet, &short, |answer| seen.push(answer.to_vec())).is_err());
    assert_eq!(seen.last().unwrap(), &[0x6F, 0x00]);
    assert_eq!(left(&wallet), before);
    fs::rename(&away, place.wallet_folder()).unwrap();
    assert_eq!(tap(&mut wallet, &short, |_| {}).unwrap().taps, 1, "control");
}
