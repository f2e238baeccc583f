//! Journals that lie about express taps: whom they accuse, what they hide, who reads of it.

use ::reader::decision::Reason;
use ::reader::journal::{Event, HandleTrace, Outcome, PassTrace, Tapped, Watermark};
use audit::journal::Head;
use credential::aws_lc::AwsLc;
use credential::delivery::epoch_at;
use issuance::issuer::Issuer;
use keys::vault::desk::VaultRight;
use policy::role::Role;
use presentation::express::handle::Index;
use presentation::express::{Context, ScopeId, list_tag};
use serde_json::Value;
use server::world::now;
use store::sqlite::{Options, Sqlite};
use store::store::Store;
use vocabulary::time::Instant;

use crate::client::Client;
use crate::handles::{Keys, PATH, Wallet, open_town};
use crate::readers::Gate;
use crate::staff::ticket;
use crate::town::Town;

const RIGHTS: [VaultRight; 2] = [VaultRight::Readers, VaultRight::Handles];

fn scope(operator: &str, zone: &str) -> ScopeId {
    let zone = zone.parse().unwrap();
    ScopeId::new(&AwsLc, &operator.parse().unwrap(), Some(&zone))
}

/// A tap in zone B of the harbour, of no index that was drawn.
fn made_up(index: u32) -> HandleTrace {
    let epoch = u32::try_from(epoch_at(now())).unwrap() + 1;
    let context = Context { scope: scope("harbour", "B"), epoch };
    HandleTrace { context, status: Index { list: [1; 4], index }, number: 0, taps: 1 }
}

fn event(trace: HandleTrace) -> Event {
    Event {
        door: "pier/gate-1".parse().unwrap(),
        outcome: Outcome::Granted { rule: 0 },
        pass: None,
        watermark: Watermark::default(),
        missed: 0,
        tap: Some(Tapped::Express(trace)),
    }
}

/// A gate and the end of its journal.
struct Liar {
    gate: Gate,
    head: Head,
}

impl Liar {
    fn new(town: &Town) -> Self {
        let gate = Gate::new(town);
        let head = Head::start(*gate.id.as_bytes());
        Self { gate, head }
    }

    fn tell(&mut self, town: &Town, at: Instant, events: impl IntoIterator<Item = Event>) -> Value {
        let mut records = Vec::new();
        for event in events {
            let (record, head) = self.head.append(at, &event.encode()).unwrap();
            records.push(record);
            self.head = head;
        }
        self.gate.upload(town, &records, &self.head, &self.gate.key).expect(200)
    }
}

fn list(client: &Client, path: &str) -> Vec<Value> {
    client.get(path).expect(200)["items"].as_array().unwrap().clone()
}

fn events(town: &Town, kind: &str) -> Vec<Value> {
    let (mut all, mut path) = (Vec::new(), String::from("/v1/events?limit=200"));
    loop {
        let page = town.harbour().get(&path).expect(200);
        all.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/events?limit=200&after={next}");
    }
    all.retain(|event| event["kind"] == kind);
    all
}

/// A rider with a handle, and a gate that tells of it as it likes.
fn rider() -> (Keys, Town, Wallet, Liar) {
    let (keys, town) = open_town(&RIGHTS);
    let mut wallet = Wallet::of(&town, &ticket("day"));
    town.anyone().post(PATH, &wallet.request(8)).expect(200);
    let liar = Liar::new(&town);
    (keys, town, wallet, liar)
}

/// The index of the handles that `wallet` drew, as a gate reads it out of them.
fn drawn(town: &Town, wallet: &Wallet) -> HandleTrace {
    let options = Options { folder: town.config.store.data.clone(), pages_max: None };
    let store = Store::new(Sqlite::open(&options).unwrap());
    let operator = "harbour".parse().unwrap();
    let tenant = store.for_operator(&operator);
    let (pass, zone, trace) = (wallet.pass.parse().unwrap(), "B".parse().unwrap(), made_up(0));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let found = runtime.block_on(tenant.handle_index(pass, &zone, trace.context.epoch));
    let found = found.unwrap().unwrap();
    let issuer = Issuer::new(operator, "Harbour".into(), &town.config.http.public_url).unwrap();
    let list = list_tag(&AwsLc, &issuer.status_uri(found.status_list));
    HandleTrace { status: Index { list, index: found.status_index }, ..trace }
}

#[test]
fn a_gate_accuses_no_rider_of_a_zone_whose_keys_it_has_not() {
    let (_keys, town, wallet, mut liar) = rider();
    let own = drawn(&town, &wallet);
    let elsewhere = [("harbour", "A"), ("harbour", "nowhere"), ("hill", "B")];
    let elsewhere = elsewhere.map(|(operator, zone)| HandleTrace {
        context: Context { scope: scope(operator, zone), ..own.context },
        ..own
    });
    let receipt = liar.tell(&town, now(), elsewhere.map(event));
    assert_eq!(receipt["accepted"], 3, "its chain goes on");
    assert_eq!(list(&town.harbour(), "/v1/findings"), [Value::Null; 0]);
    assert_eq!(events(&town, "handles-foreign-scope").len(), 1, "one for all");
    // The control: at home the rider's own tap is none, and the next with its number is.
    liar.tell(&town, now(), [event(own)]);
    assert_eq!(list(&town.harbour(), "/v1/findings"), [Value::Null; 0]);
    liar.tell(&town, now(), [event(own), event(made_up(own.status.index))]);
    let found = list(&town.harbour(), "/v1/findings");
    assert_eq!([&found[0]["kind"], &found[1]["kind"]], ["copied", "forged"]);
    assert_eq!(events(&town, "handles-foreign-scope").len(), 1);
}

#[test]
fn who_shows_one_copy_all_the_time_hides_no_other() {
    let (_keys, town, wallet, mut liar) = rider();
    let own = drawn(&town, &wallet);
    let number = |number, taps| HandleTrace { number, taps, ..own };
    liar.tell(&town, now(), [event(number(0, 1)), event(number(1, 2))]);
    assert_eq!(list(&town.harbour(), "/v1/findings"), [Value::Null; 0]);
    // A gate says that it knows them.
    let again = |trace| Event { outcome: Outcome::Refused(Reason::HandleCopied), ..event(trace) };
    let flood = std::iter::repeat_n(again(number(0, 1)), 300);
    liar.tell(&town, now(), flood.chain([again(number(1, 2))]));
    let mut found = Vec::new();
    let mut path = String::from("/v1/findings?limit=200");
    loop {
        let page = town.harbour().get(&path).expect(200);
        found.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/findings?limit=200&after={next}");
    }
    assert_eq!(found.len(), 256);
    let of = |number| found.iter().filter(|it| it["found"]["tap"]["number"] == number).count();
    assert_eq!((of(0), of(1)), (255, 1));
    assert_eq!(events(&town, "handles-more-findings").len(), 1);
}

#[test]
fn a_journal_of_a_thousand_poisoned_records_is_taken_in_and_told_of_in_few_events() {
    let town = Town::new();
    let mut liar = Liar::new(&town);
    let poison = (0..1_000).map(|number: u32| {
        let mut trace = made_up(u32::MAX - number);
        trace.context.epoch = [u32::MAX, trace.context.epoch, 0, u32::MAX - 8][number as usize % 4];
        (trace.number, trace.taps) = (u16::MAX, u32::MAX);
        let code = "z".repeat(32);
        let device = [0xFF; 32];
        let pass = Some(PassTrace {
            operator: code.parse().unwrap(),
            product: code.parse().unwrap(),
            device,
        });
        Event { pass, missed: u32::MAX, ..event(trace) }
    });
    let receipt = liar.tell(&town, Instant::from_unix_micros(i64::MAX), poison);
    assert_eq!(receipt["accepted"], 1_000);
    let found = list(&town.harbour(), "/v1/findings?limit=200");
    assert!(found.iter().all(|it| it["kind"] == "forged" && it["found"]["pass"].is_null()));
    assert_eq!(events(&town, "handles-forged").len(), 256);
    assert_eq!(events(&town, "handles-more-findings").len(), 1);
    assert_eq!(events(&town, "handles-too-late").len(), 1);
    // The city goes on, and so does the gate.
    liar.tell(&town, now(), [event(made_up(1))]);
}

#[test]
fn an_operator_reads_of_his_own_findings_alone_and_a_reader_of_none() {
    let town = Town::new();
    let mut liar = Liar::new(&town);
    liar.tell(&town, now(), [event(made_up(1)), event(made_up(2))]);
    let own = list(&town.harbour(), "/v1/findings");
    assert_eq!(own.len(), 2, "control");
    assert_eq!(list(&town.hill(), "/v1/findings"), [Value::Null; 0]);
    assert_eq!(list(&town.registrar(), "/v1/findings"), [Value::Null; 0]);
    // Nor does a cursor of somebody else lead there.
    let first = town.harbour().get("/v1/findings?limit=1").expect(200);
    let after = format!("/v1/findings?after={}", first["next"].as_str().unwrap());
    assert_eq!(list(&town.harbour(), &after).len(), 1, "control");
    assert_eq!(list(&town.hill(), &after), [Value::Null; 0]);
    let reader = town.anyone().as_bearer(liar.gate.secret());
    assert_eq!(reader.get("/v1/findings").problem(404), "not-found");
    assert_eq!(town.anyone().get("/v1/findings").problem(401), "unauthorized");
    let fleet = town.make_token("harbour", Role::FleetManager).unwrap();
    assert_eq!(town.anyone().as_bearer(&fleet).get("/v1/findings").problem(403), "denied");
    assert_eq!(town.harbour().get(&format!("/v1/findings?limit={}", u64::MAX)).status, 400);
    let event = own[0]["event"].as_str().unwrap();
    assert_eq!(town.hill().get(&format!("/v1/events/{event}")).status, 404);
}

#[test]
fn a_gate_that_says_it_knows_a_bundle_past_all_numbers_is_no_fault_of_the_city() {
    let town = Town::new();
    let mut liar = Liar::new(&town);
    let watermark = Watermark { bundle_epoch: u64::MAX, status_issued_at: None };
    liar.tell(&town, now(), [Event { watermark, ..event(made_up(1)) }]);
    assert_eq!(events(&town, "door-granted").len(), 1);
}
