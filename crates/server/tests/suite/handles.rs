//! Handles of the express tap over HTTP: what a wallet must show, and what the city counts. The key
//! service is real, in a thread of its own, with a vault in software.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use credential::aws_lc::AwsLc;
use credential::crypto::{Crypto, P256Secret};
use credential::delivery::{Scope, epoch_at};
use credential::jose::base64url;
use keys::custody::{Custody, State};
use keys::purpose::Purpose;
use keys::service::config::{Client as Paired, Config};
use keys::service::serve::Service;
use keys::software::Keystore;
use keys::unlock::Unlock;
use keys::vault::desk::VaultRight;
use keys::vault::software::SoftwareVault;
use keys::vault::{NewSecret, SecretKind, Vault};
use keys::wire::pairing::Pairing;
use presentation::express::issuing::{Answer as Sealed, Batch, Statement, Wish};
use serde_json::{Value, json};
use server::config::CLIENT;
use server::world::now;
use tokio::sync::watch;

use crate::client::Answer;
use crate::phone::{Key, documents};
use crate::staff::ticket;
use crate::town::Town;
use crate::wallets::offered;

const PATH: &str = "/v1/wallet/express-handles";

/// A key service in a thread of its own; ends with the test.
struct Keys {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Moves the keys of a city that is founded into a key service which lets the server do `rights`.
fn served(town: &mut Town, rights: &[VaultRight]) -> Keys {
    let keys = &mut town.config.keys;
    let key_file = keys.key_file.take().unwrap();
    let unlock = Unlock::key_file(&key_file, &town.config.store.data).unwrap();
    let custody: Arc<dyn Custody> =
        Arc::new(Keystore::open_server(&keys.keystore, &unlock).unwrap());
    let vault = SoftwareVault::create(&town.folder.join("keys/city.vault"), &unlock).unwrap();
    // The key of pseudonyms lies beside the pairing and has its name.
    let pairing = keys.keystore.with_extension("pairing");
    Pairing::create(&[&pairing]).unwrap();
    let socket = town.folder.join("run/keys.sock");
    keys.keystore = std::path::PathBuf::new();
    (keys.service, keys.pairing) = (Some(socket.clone()), Some(pairing.clone()));
    let config = Config {
        socket,
        group: None,
        journal: town.folder.join("uses"),
        same_user: true,
        keystore: None,
        token: None,
        halves: None,
        retiring: None,
        vault: None,
        clients: vec![Paired {
            name: CLIENT.into(),
            pairing,
            uid: None,
            sign: Purpose::ALL.iter().map(ToString::to_string).collect(),
            generate: true,
            set_state: true,
            destroy: true,
            vault: rights.iter().map(|right| right.as_str().into()).collect(),
            signatures_per_minute: 1_000_000,
        }],
    };
    let (stop, stopped) = watch::channel(false);
    let (ready, is_ready) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async move {
            let vault: Arc<dyn Vault> = Arc::new(vault);
            for epoch in [epoch_at(now()), epoch_at(now()) + 1] {
                let scope = Scope { operator: "harbour".parse().unwrap(), zone: "B".parse().ok() };
                let (kind, kdf, state) = (SecretKind::Epoch, None, State::Active);
                let scope = Some(scope);
                let new = NewSecret { kind, scope, epoch, kdf, state, after: 0, at: now() };
                vault.generate(new).await.unwrap();
            }
            let service = Service::with_vault(&config, custody, Some(vault)).unwrap();
            ready.send(()).unwrap();
            service.run(stopped).await;
        });
    });
    is_ready.recv_timeout(Duration::from_secs(60)).unwrap();
    Keys { stop, thread: Some(thread) }
}

struct Wallet {
    pass: String,
    document: Vec<u8>,
    key: Key,
    agreement: P256Secret,
    points: u8,
}

impl Wallet {
    /// A wallet that has collected a pass of `product`.
    fn of(town: &Town, product: &Value) -> Self {
        let (phone, pass, _) = offered(town, product);
        let token = phone.token(None, false);
        let key = Key::new(31);
        let collected = documents(&phone.collect(&token, "mso_mdoc", &[&key], false));
        let document = base64url::decode(&collected[0]).unwrap();
        let agreement = P256Secret::from_bytes([55; 32]);
        Self { pass, document, key, agreement, points: 55 }
    }

    /// Tomorrow's handles: midnight does not take them away.
    fn request(&mut self, count: u16) -> Value {
        self.request_at("B", epoch_at(now()) + 1, count)
    }

    fn request_at(&mut self, zone: &str, epoch: u64, count: u16) -> Value {
        self.draw_point();
        self.request_by(&self.key, 0, (zone, epoch, count))
    }

    /// A key for agreement that was in no statement.
    fn draw_point(&mut self) {
        self.points += 1;
        self.agreement = P256Secret::from_bytes([self.points; 32]);
    }

    fn request_by(&self, key: &Key, seconds_off: i64, what: (&str, u64, u16)) -> Value {
        let (zone, epoch, count) = what;
        let point = AwsLc.p256_public(&self.agreement).unwrap();
        let at = u64::try_from(now().unix_seconds() + seconds_off).unwrap();
        let scope = Scope { operator: "harbour".parse().unwrap(), zone: zone.parse().ok() };
        let wish = Wish { issuer_signed: &self.document, scope: &scope, epoch };
        let message = Statement::message(&AwsLc, &point, at, count, &wish);
        let statement = Statement { point, at, count, by_device: key.sign(&message) };
        json!({
            "operator": "harbour",
            "zone": zone,
            "epoch": epoch,
            "pass": base64url::encode(&self.document),
            "statement": base64url::encode(&statement.encode()),
        })
    }

    fn open(&self, answer: &Answer) -> Batch {
        let answer = answer.expect(200);
        let bytes = base64url::decode(answer["answer"].as_str().unwrap()).unwrap();
        let sealed = Sealed::parse(&bytes).unwrap();
        let agreed = AwsLc.p256_agree(&self.agreement, &sealed.ephemeral).unwrap();
        let point = AwsLc.p256_public(&self.agreement).unwrap();
        let batch = sealed.open(&AwsLc, &agreed, &point).unwrap();
        assert_eq!(answer["count"], batch.handles.len());
        batch
    }
}

fn with(mut request: Value, field: &str, value: Value) -> Value {
    request[field] = value;
    request
}

fn open_town(rights: &[VaultRight]) -> (Keys, Town) {
    let mut town = Town::closed(|_| {});
    let keys = served(&mut town, rights);
    town.open();
    (keys, town)
}

#[test]
fn the_signature_of_the_device_is_what_a_wallet_shows() {
    let (_keys, town) = open_town(&[VaultRight::Readers, VaultRight::Handles]);
    let mut wallet = Wallet::of(&town, &ticket("day"));
    let anyone = town.anyone();
    let good = wallet.request(4);
    let batch = wallet.open(&anyone.post(PATH, &good));
    assert_eq!((batch.handles.len(), batch.scope.zone), (4, "B".parse().ok()));
    let refused = |request: &Value, status, code: &str| {
        assert_eq!(anyone.post(PATH, request).problem(status), code, "{code}");
    };
    // Who saw a request draws nothing by it, here or elsewhere.
    refused(&good, 409, "handles-repeated");
    refused(&with(good.clone(), "zone", json!("C")), 403, "handles-device");
    refused(&with(good.clone(), "epoch", json!(epoch_at(now()))), 403, "handles-device");
    let tomorrow = ("B", epoch_at(now()) + 1, 4);
    refused(&wallet.request_by(&Key::new(99), 0, tomorrow), 403, "handles-device");
    refused(&wallet.request_by(&wallet.key, -400, tomorrow), 403, "handles-device");
    refused(&wallet.request_by(&wallet.key, 400, tomorrow), 403, "handles-device");
    refused(&with(good.clone(), "operator", json!("hill")), 403, "handles-device");
    let mut changed = wallet.document.clone();
    let at = changed.windows(5).position(|window| window == b"first").unwrap();
    changed[at] = b'F';
    let changed = json!(base64url::encode(&changed));
    refused(&with(good.clone(), "pass", changed), 403, "handles-device");
    let today = epoch_at(now());
    refused(&wallet.request_at("C", today + 1, 4), 422, "handles-scope");
    refused(&wallet.request_at("B", today + 3, 4), 422, "handles-epoch");
    refused(&wallet.request_at("B", today - 1, 4), 422, "handles-epoch");
    // The pass names zone A, for whose gates nobody has made a key.
    refused(&wallet.request_at("A", today + 1, 4), 422, "handles-epoch");
    refused(&wallet.request(0), 409, "handles-exhausted");
    for (field, value) in [
        ("pass", json!("!")),
        ("statement", json!("AAAA")),
        ("zone", json!("")),
        ("operator", json!("No Code")),
    ] {
        refused(&with(good.clone(), field, value), 400, "invalid-field");
    }
    anyone.post(PATH, &with(good.clone(), "more", json!(1))).expect(400);
    let again = wallet.request(4);
    assert_eq!(wallet.open(&anyone.post(PATH, &again)).handles.len(), 4, "control");
    // A pass that is suspended gets none, and the log of the city says who drew.
    let path = format!("/v1/passes/{}", wallet.pass);
    town.harbour().post(&format!("{path}/suspend"), &json!({})).expect(200);
    let waits = wallet.request(4);
    refused(&waits, 409, "pass-state");
    town.harbour().post(&format!("{path}/resume"), &json!({})).expect(200);
    anyone.post(PATH, &waits).expect(200);
    town.harbour().post(&format!("{path}/revoke"), &json!({})).expect(200);
    refused(&wallet.request(4), 409, "pass-state");
    let events = town.harbour().get("/v1/events?limit=100").expect(200);
    let events = events["items"].as_array().unwrap();
    let drawn = events.iter().filter(|event| event["kind"] == "handles-draw").count();
    assert_eq!(drawn, 3, "{events:?}");
}

#[test]
fn requests_at_the_same_time_get_no_more_than_the_product_allows() {
    let (_keys, town) = open_town(&[VaultRight::Readers, VaultRight::Handles]);
    let mut product = ticket("day");
    product["terms"]["handles_max"] = json!(40);
    let mut wallet = Wallet::of(&town, &product);
    let asked: Vec<(P256Secret, Value)> = (0..8)
        .map(|_| (wallet.request(16), P256Secret::from_bytes([wallet.points; 32])))
        .map(|(request, agreement)| (agreement, request))
        .collect();
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let ask = |request: &Value| {
            // Who was overtaken too often asks again.
            for _ in 0..20 {
                let answer = town.anyone().post(PATH, request);
                if answer.status == 200 || answer.problem(409) != "conflict" {
                    return answer;
                }
            }
            panic!("overtaken all the time");
        };
        let threads: Vec<_> =
            asked.iter().map(|(_, request)| scope.spawn(move || ask(request))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (mut handles, mut got, mut none): (Vec<[u8; 60]>, _, _) = (Vec::new(), 0, 0);
    for (answer, (agreement, _)) in answers.iter().zip(asked) {
        if answer.status == 200 {
            wallet.agreement = agreement;
            handles.extend(wallet.open(answer).handles.iter().map(|(handle, _)| handle.0));
            got += 1;
        } else {
            assert_eq!(answer.problem(409), "handles-exhausted");
            none += 1;
        }
    }
    assert_eq!((got, none, handles.len()), (3, 5, 40));
    handles.sort_unstable();
    handles.dedup();
    assert_eq!(handles.len(), 40);
}

#[test]
fn a_city_whose_keys_make_no_handles_says_so() {
    let town = Town::new();
    let mut wallet = Wallet::of(&town, &ticket("day"));
    let answer = town.anyone().post(PATH, &wallet.request(4));
    assert_eq!(answer.problem(503), "key-missing");
    let (_keys, town) = open_town(&[VaultRight::Readers]);
    let mut wallet = Wallet::of(&town, &ticket("day"));
    let answer = town.anyone().post(PATH, &wallet.request(4));
    assert_eq!(answer.problem(503), "key-missing");
    let mut own = ticket("own");
    own["terms"]["rights"]["holder_only"] = json!(true);
    let (_keys, town) = open_town(&[VaultRight::Readers, VaultRight::Handles]);
    let mut wallet = Wallet::of(&town, &own);
    let answer = town.anyone().post(PATH, &wallet.request(4));
    assert_eq!(answer.problem(422), "handles-holder-only");
}
