//! Rotation in a city on a disk, at instants that the tests choose.

use super::*;
use crate::city::ceremony::{Custodians, Founding, create_city};
use crate::city::clock;
use crate::city::facts::Facts;
use crate::city::files::{RootFile, create_keystore};
use crate::city::rotation::{Haste, Level, Order, Sharing, rotate};
use crate::config::{Config, Http, Keys, Limits, Store};
use crate::problem::Problem;
use crate::sign::SignFault;
use crate::start::{LogSigner, log_keys};
use crate::work::chores;
use crate::world::now;
use audit::checkpoint;
use credential::x509::Certificate;
use keys::custody::Custody;
use keys::rotation::lives::DOCUMENT_SIGNER_RENEWAL;
use keys::software::Keystore;
use keys::unlock::Unlock;
use std::path::Path;
use std::time::Duration;
use store::log::sequencer::Sequencer;
use store::page::Page;

fn config(folder: &Path) -> Config {
    Config {
        http: Http {
            listen: "127.0.0.1:1".parse().unwrap(),
            public_url: "http://127.0.0.1:1".into(),
            tls_cert: None,
            tls_key: None,
        },
        store: Store { data: folder.join("data") },
        keys: Keys {
            keystore: folder.join("keys/city.keys"),
            key_file: Some(folder.join("keys/city.key")),
            passphrase_file: None,
            ..Keys::default()
        },
        limits: Limits::default(),
    }
}

async fn town(folder: &Path, at: Instant) -> (Server, Keystore) {
    std::fs::create_dir_all(folder).unwrap();
    let config = config(folder);
    Unlock::create_key_file(&folder.join("root.key")).unwrap();
    let unlock = Unlock::key_file(&folder.join("root.key"), &config.store.data).unwrap();
    let root = RootFile { path: &folder.join("root.keys"), unlock: &unlock };
    let operator = identity::operator::NewOperator {
        code: "harbour".parse().unwrap(),
        name: "Harbour".parse().unwrap(),
    };
    let founding = Founding {
        name: "Testhaven".parse().unwrap(),
        country: "UT".into(),
        operators: vec![operator],
    };
    let (root, keys) = (root.create().unwrap(), create_keystore(&config).unwrap());
    let custodians = Custodians { root: &root, city: &keys };
    create_city(&config, custodians, &founding, at).await.unwrap();
    (Server::open(&config).await.unwrap(), root)
}

#[tokio::test]
async fn signers_are_renewed_with_new_keys_a_month_before_they_end() {
    let folder = std::env::temp_dir().join(format!("limen-signers-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let at = now();
    let (server, _) = town(&folder, at).await;
    let operator = "harbour".parse().unwrap();
    let count = || {
        let keys = server.custody.keys();
        keys.iter().filter(|key| key.purpose == Purpose::DocumentSignerMdoc).count()
    };
    let due = at.saturating_add(DOCUMENT_SIGNER_LIFE - DOCUMENT_SIGNER_RENEWAL);
    let hour = Duration::from_secs(3_600);
    for (when, expected) in
        [(at, 1), (at, 1), (due.saturating_sub(hour), 1), (due.saturating_add(hour), 2)]
    {
        turn_all(&server, when).await;
        assert_eq!(count(), expected, "{when}");
    }
    let late = at.saturating_add(DOCUMENT_SIGNER_LIFE + hour);
    let signer = certified(&*server.custody, Purpose::DocumentSignerMdoc, Some(&operator), late);
    assert!(signer.is_ok(), "the second holds when the first has ended");
    let _ = std::fs::remove_dir_all(&folder);
}

const DAY: Duration = Duration::from_secs(86_400);

/// A city that ends with its test.
struct Home {
    folder: std::path::PathBuf,
    server: Server,
    root: Keystore,
    founded: Instant,
}

impl Home {
    async fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("limen-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let founded = now();
        let (server, root) = town(&folder, founded).await;
        turn_all(&server, founded).await;
        Self { folder, server, root, founded }
    }

    fn day(&self, days: u32) -> Instant {
        self.founded.saturating_add(DAY * days)
    }

    /// `limen key rotate` on the day, with the keys of the running server.
    async fn rotate(&self, level: Level, haste: Haste, days: u32) -> Result<Vec<&str>, String> {
        self.order(Order { levels: vec![level], haste, ..planned() }, days).await
    }

    async fn order(&self, order: Order, days: u32) -> Result<Vec<&str>, String> {
        let custodians = Custodians { root: &self.root, city: &*self.server.custody };
        let done = rotate(&config(&self.folder), custodians, &order, self.day(days)).await;
        let done = done.map_err(|error| error.to_string())?;
        Ok(done.into_iter().map(|done| done.what).collect())
    }

    async fn turn(&self, days: u32) {
        turn_all(&self.server, self.day(days)).await;
    }

    fn states(&self, purpose: Purpose) -> Vec<State> {
        let keys = self.server.custody.keys();
        keys.iter().filter(|key| key.purpose == purpose).map(|key| key.state).collect()
    }

    /// The kinds of the first deeds in the log.
    async fn kinds(&self) -> Vec<String> {
        let mut kinds = Vec::new();
        for operator in [city(), "harbour".parse().unwrap()] {
            let events = self.server.store.for_operator(&operator).events(&Page::FIRST).await;
            kinds.extend(events.unwrap().items.iter().map(|event| event.entry.kind.to_string()));
        }
        kinds
    }

    async fn facts(&self) -> Facts {
        Facts::load(&self.server.store).await.unwrap()
    }
}

/// A rotation of nothing.
fn planned() -> Order {
    Order {
        levels: Vec::new(),
        operator: None,
        haste: Haste::Planned,
        sharing: Sharing::Shared,
        leaving: None,
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn key_is_published_used_retired_and_destroyed_and_each_is_recorded() {
    use State::{Active, Published, Retired};
    let home = Home::new("rotation-life").await;
    let purpose = Purpose::StatusList;
    assert_eq!(home.rotate(Level::StatusList, Haste::Planned, 0).await.unwrap(), ["made"]);
    for (day, expected) in [
        (7, [Active, Published].as_slice()),
        (8, &[Active, Active]),
        (9, &[Retired, Active]),
        (16, &[Retired, Active]),
        (17, &[Active]),
    ] {
        home.turn(day).await;
        assert_eq!(home.states(purpose), expected, "day {day}");
    }
    let kinds = home.kinds().await;
    for kind in ["key-make", "key-activate", "key-retire", "key-destroy"] {
        assert!(kinds.iter().any(|found| found == kind), "{kind} in {kinds:?}");
    }
    assert_eq!(home.rotate(Level::StatusList, Haste::Planned, 18).await.unwrap(), ["made"]);
    let again = home.rotate(Level::StatusList, Haste::Planned, 19).await.unwrap();
    assert_eq!(again, ["made"], "the one that is under way, not a third");
    assert_eq!(home.states(purpose).len(), 2);
}

#[tokio::test]
async fn lead_is_not_skipped_where_somebody_would_deny() {
    let home = Home::new("rotation-haste").await;
    let refused = home.rotate(Level::StatusList, Haste::Now, 0).await.unwrap_err();
    assert!(refused.contains("must be published for 8 days"), "{refused}");
    assert_eq!(home.states(Purpose::StatusList), [State::Active]);
    assert_eq!(home.rotate(Level::Bundle, Haste::Now, 0).await.unwrap(), ["active"]);
    // The control: who says that the old key is in other hands gets it at once.
    let done = home.rotate(Level::StatusList, Haste::Compromised, 0).await.unwrap();
    assert_eq!(done, ["active", "retired"]);
}

#[tokio::test]
async fn first_key_of_a_level_that_the_city_is_founded_without_is_made() {
    let home = Home::new("rotation-first").await;
    assert_eq!(home.states(Purpose::Staff), []);
    assert_eq!(home.rotate(Level::Staff, Haste::Planned, 0).await.unwrap(), ["active"]);
    assert_eq!(home.states(Purpose::Staff), [State::Active]);
    assert_eq!(home.rotate(Level::Firmware, Haste::Planned, 0).await.unwrap(), ["made"]);
    assert_eq!(home.states(Purpose::Firmware), [State::Published], "readers learn it first");
    home.turn(8).await;
    assert_eq!(home.states(Purpose::Firmware), [State::Active]);
    // The control: from then on it is a rotation.
    assert_eq!(home.rotate(Level::Firmware, Haste::Planned, 9).await.unwrap(), ["made"]);
    assert_eq!(home.states(Purpose::Firmware), [State::Active, State::Published]);
}

#[tokio::test]
async fn document_signers_follow_a_new_issuing_authority() {
    let home = Home::new("rotation-authority").await;
    home.rotate(Level::IssuingAuthority, Haste::Planned, 0).await.unwrap();
    home.turn(29).await;
    assert_eq!(home.states(Purpose::DocumentSignerMdoc), [State::Active]);
    home.turn(30).await;
    assert_eq!(home.states(Purpose::DocumentSignerMdoc), [State::Active, State::Active]);
    let operator = "harbour".parse().unwrap();
    let of = |purpose| {
        certified(&*home.server.custody, purpose, Some(&operator), home.day(30)).unwrap().1
    };
    let (authority, signer) = (of(Purpose::IssuingAuthority), of(Purpose::DocumentSignerMdoc));
    let [authority, signer] = [&authority, &signer].map(|der| Certificate::parse(der).unwrap());
    assert!(signer.is_signed_by(&credential::aws_lc::AwsLc, &authority.public_key));
}

#[tokio::test]
async fn both_keys_sign_the_log_until_the_old_one_retires() {
    let home = Home::new("rotation-log").await;
    let origin = home.server.city.log_origin.clone();
    let key_of = |state| {
        let keys = log_keys(&*home.server.custody, &origin, &[state]);
        keys.into_iter().map(|(_, key)| key).collect::<Vec<_>>()
    };
    let old = key_of(State::Active);
    assert_eq!(home.rotate(Level::Checkpoint, Haste::Planned, 0).await.unwrap(), ["made"]);
    let new = key_of(State::Published);
    let signer = std::sync::Arc::new(LogSigner::of(&home.server).unwrap());
    let opened = Sequencer::open(&home.server.store, home.server.log.clone(), signer).await;
    let mut sequencer = opened.unwrap();
    for (day, believed) in
        [(0, (true, false)), (30, (true, true)), (59, (true, true)), (60, (false, true))]
    {
        home.turn(day).await;
        // Something to publish.
        home.rotate(Level::Bundle, Haste::Planned, day).await.unwrap();
        sequencer.publish().await.unwrap();
        let note = home.server.log.read("checkpoint").unwrap().unwrap();
        let by = |keys: &[_]| checkpoint::verify(&note, &origin, keys).is_ok();
        assert_eq!((by(&old), by(&new)), believed, "day {day}");
    }
}

#[tokio::test]
async fn root_hands_over_with_a_link_and_ends() {
    let home = Home::new("rotation-root").await;
    let first = home.server.city.root.clone();
    assert_eq!(home.rotate(Level::Root, Haste::Planned, 0).await.unwrap(), ["made"]);
    assert_eq!(home.rotate(Level::Root, Haste::Planned, 29).await.unwrap(), ["waits"]);
    let facts = home.server.facts().await.unwrap();
    assert_eq!((facts.roots.len(), &facts.root), (2, &first), "published, not yet used");
    let gone_over = home.rotate(Level::Root, Haste::Planned, 30).await.unwrap();
    assert_eq!(gone_over, ["active", "active", "retired"]);
    let facts = home.facts().await;
    assert_ne!(facts.root, first);
    let successor = Certificate::parse(&facts.root).unwrap().public_key;
    let aws = &credential::aws_lc::AwsLc;
    for (purpose, operator) in [
        (Purpose::Bundle, None),
        (Purpose::ReaderAuthority, None),
        (Purpose::IssuingAuthority, Some("harbour")),
    ] {
        let operator = operator.map(|code| code.parse().unwrap());
        let found = certified(&*home.server.custody, purpose, operator.as_ref(), home.day(30));
        let der = found.unwrap().1;
        assert!(Certificate::parse(&der).unwrap().is_signed_by(aws, &successor), "{purpose}");
    }
    // A reader that was enrolled under the first root follows the real bundle of the city.
    let (key, signer) =
        certified(&*home.server.custody, Purpose::Bundle, None, home.day(30)).unwrap();
    let table = reader::table::AccessTable::new(vec![
        reader::table::Door::new(
            "gate".parse().unwrap(),
            None,
            reader::table::ZoneClass::Low,
            Vec::new(),
        )
        .unwrap(),
    ]);
    let policy = reader::snapshot::ClassPolicy {
        status_age_max: DAY,
        stale: reader::snapshot::Stale::Refuse,
    };
    let bundle = reader::bundle::Bundle {
        deliveries: Vec::new(),
        city: "Testhaven".parse().unwrap(),
        reader: vocabulary::id::ReaderId::from_bytes([1; 16]),
        epoch: 1,
        issued_at: home.day(30).floor_to_second(),
        expires_at: home.day(37).floor_to_second(),
        roots: facts.roots.clone(),
        issuers: Vec::new(),
        status_signers: Vec::new(),
        freshness: reader::bundle::Freshness { low: policy, normal: policy, high: policy },
        unlock_ms: 5_000,
        taps: reader::taps::Taps::default(),
        table: table.unwrap(),
    };
    let signed = sign(&*home.server.custody, &key, bundle.unsigned(&signer)).await.unwrap();
    let pinned = credential::x509::TrustAnchors::from_ders([first.as_slice()]).unwrap();
    let pin =
        reader::bundle::Pin { root: &pinned, reader: bundle.reader, epoch: 0, at: home.day(30) };
    let verified = reader::bundle::VerifiedBundle::verify(aws, &signed, &pin).unwrap();
    assert_eq!(verified.roots().len(), 2);
    // The old root leaves after the overlap, and then ends.
    assert_eq!(home.rotate(Level::Root, Haste::Planned, 59).await.unwrap(), ["waits"]);
    assert_eq!(home.rotate(Level::Root, Haste::Planned, 60).await.unwrap(), ["dropped"]);
    assert_eq!(home.facts().await.roots.len(), 1);
    assert_eq!(home.rotate(Level::Root, Haste::Planned, 68).await.unwrap(), ["destroyed"]);
    assert_eq!(home.root.keys().len(), 1);
    assert!(home.kinds().await.contains(&"key-destroy".to_owned()));
    let refused = home.rotate(Level::Root, Haste::Now, 69).await.unwrap_err();
    assert!(refused.contains("enrolling anew"), "{refused}");
}

#[tokio::test]
async fn ended_authority_is_named_with_its_date_and_the_command_that_renews() {
    let home = Home::new("rotation-ended").await;
    let operator = "harbour".parse().unwrap();
    let purpose = Purpose::DocumentSignerMdoc;
    let judge = |days| certified(&*home.server.custody, purpose, Some(&operator), home.day(days));
    assert!(judge(89).is_ok(), "control");
    let fault = judge(91).unwrap_err();
    let SignFault::Ended { ended, .. } = fault else { panic!("{fault:?}") };
    let problem = format!("{:?}", Problem::from(fault));
    for part in [
        "issuer-expired",
        &ended.to_string(),
        "limen key rotate issuing-authority --operator harbour",
    ] {
        assert!(problem.contains(part), "{part} in {problem}");
    }
}

#[tokio::test]
async fn operator_without_keys_of_the_level_is_refused_with_those_that_have() {
    let home = Home::new("rotation-operator").await;
    let order = |level, operator: &str| {
        let operator = Some(operator.parse().unwrap());
        home.order(Order { levels: vec![level], operator, ..planned() }, 0)
    };
    let refused = order(Level::DocumentSigner, "nobody").await.unwrap_err();
    assert!(
        refused.contains("no operator `nobody` has keys; those that do: `harbour`"),
        "{refused}"
    );
    for level in [Level::StatusList, Level::Root] {
        let refused = order(level, "harbour").await.unwrap_err();
        assert!(refused.contains("leave out --operator"), "{refused}");
    }
    let done = order(Level::DocumentSigner, "harbour").await.unwrap();
    assert_eq!(done, ["active", "active"], "the control");
    let (levels, operator) = (Level::ALL.to_vec(), Some("harbour".parse().unwrap()));
    home.order(Order { levels, operator, ..planned() }, 0).await.unwrap();
    assert_eq!(home.root.keys().len(), 1, "the root is no operator's");
}

#[tokio::test]
async fn clock_that_jumps_moves_no_key_until_somebody_confirms_it() {
    use State::{Active, Published, Retired};
    let home = Home::new("rotation-clock").await;
    home.rotate(Level::StatusList, Haste::Planned, 0).await.unwrap();
    let purpose = Purpose::StatusList;
    let all = async |day: u32| chores::all(&home.server, home.day(day)).await;
    let before = home.server.custody.keys();
    let yesterday = home.founded.saturating_sub(DAY);
    chores::all(&home.server, yesterday).await;
    for day in [3_650, 3_650, 8] {
        all(day).await;
        assert_eq!(home.server.custody.keys(), before, "day {day}");
        assert!(home.server.findings.lines().contains("limen key confirm-clock"));
        // Somebody is served meanwhile, and it stands in the log with the date of that clock.
        let deed = worker_deed(city(), "test.deed", "something".into(), home.day(day));
        home.server.attempt(deed, Vec::new(), Vec::new()).await.unwrap();
    }
    for (day, expected) in
        [(7, [Active, Published].as_slice()), (8, &[Active, Active]), (9, &[Retired, Active])]
    {
        all(day).await;
        assert_eq!(home.states(purpose), expected, "the control: the clock is right, day {day}");
    }
    assert_eq!(home.server.findings.lines(), "");
    let kinds = home.kinds().await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "clock-note").count(), 3, "one a day");
    all(40).await;
    assert_eq!(home.states(purpose), [Retired, Active]);
    clock::confirm(&config(&home.folder), home.day(40)).await.unwrap();
    all(40).await;
    assert_eq!(home.states(purpose), [Active], "the control: confirmed, it is believed");
    assert!(home.kinds().await.contains(&"clock-confirm".to_owned()));
}
