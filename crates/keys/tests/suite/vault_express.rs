//! Handles of the express tap from the key service: sealed for one device, under keys that gates have,
//! and refused for each reason by itself. The control of every refusal is the request that is served.

use std::sync::Arc;
use std::time::Duration;

use credential::aws_lc::AwsLc;
use credential::crypto::{Crypto, P256Secret, PublicKey};
use credential::delivery::{EPOCH_SECONDS, Scope, Suite, epoch_at};
use credential::mdoc::{ENTROPY_BYTES_PER_ELEMENT, IssueRequest, NameSpace, Validity};
use credential::rights::{DOC_TYPE, NAME_SPACE, Recurrence, Rights, Window};
use credential::unsigned::Unsigned;
use credential::x509::Certificate;
use credential::x509::build::{
    CertificateDer, Purpose as CertificatePurpose, Request as CertificateRequest, Signer, Subject,
    certificate,
};
use keys::custody::{Custody, Key, NewKey, State};
use keys::object::TypedObject;
use keys::purpose::Purpose;
use keys::seal::Kind;
use keys::software::Keystore;
use keys::vault::express::HandlesError;
use keys::vault::remote::RemoteVault;
use keys::vault::token::TokenVault;
use keys::vault::{NewSecret, SecretKind, Vault};
use presentation::express::handle::{Content, Handle, Index, TapKey};
use presentation::express::issuing::{Answer, Batch, Request, Statement, Wish};
use presentation::express::schedule::ScopeKeys;
use presentation::express::{Context, ScopeId, class_tag, list_tag, product_tag};
use vocabulary::time::Instant;

use crate::post::Post;
use crate::softhsm::{Softhsm, alone};
use crate::vault::{scope, software};
use crate::vault_deliveries::Reader;

const LIST: &str = "https://city.example/issuers/tram/status/4";
const DAY: Duration = Duration::from_secs(86_400);

fn now() -> Instant {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Instant::from_unix_seconds(i64::try_from(since.as_secs()).unwrap())
}

/// Tomorrow: of the epochs that are served, the one that midnight does not take away.
fn tomorrow() -> u64 {
    epoch_at(now()) + 1
}

async fn signed<T>(custody: &dyn Custody, key: &Key, unsigned: Unsigned<T>) -> T {
    let bytes = unsigned.to_be_signed().to_vec();
    let object = TypedObject::parse(key.purpose.object_type(), &bytes).unwrap();
    let signature = custody.sign(&key.handle, &object).await.unwrap();
    unsigned.complete(&signature)
}

async fn certified(
    custody: &dyn Custody,
    key: &Key,
    purpose: CertificatePurpose,
    (custodian, authority): (&dyn Custody, &Key),
) -> Key {
    let of_authority = authority.certificate.as_deref().map(|der| Certificate::parse(der).unwrap());
    let signer = of_authority.as_ref().map_or(Signer::Subject, Signer::Authority);
    // Nobody outlives who certified him.
    let life = match purpose {
        CertificatePurpose::Root => 12,
        CertificatePurpose::Authority => 11,
        _ => 10,
    };
    let request = CertificateRequest {
        purpose,
        subject: Subject { common_name: key.purpose.as_str(), organization: None, country: "NL" },
        key: &key.public_key,
        not_before: now().saturating_sub(life * DAY),
        not_after: now().saturating_add(life * DAY),
        serial_entropy: [7; 16],
        issuer_uri: "https://limen.example",
        crl_uri: "https://limen.example/crl",
    };
    let der: CertificateDer =
        signed(custodian, authority, certificate(&request, signer).unwrap()).await;
    custody.attach_certificate(&key.handle, der.as_bytes()).await.unwrap()
}

/// A document signer of `operator`, certified from a root down.
async fn document_signer(post: &Post, custody: &dyn Custody, operator: &str) -> Key {
    let root_path = post.folder.path(&format!("root-{operator}.keys"));
    let root_store = Keystore::create(&root_path, Kind::Root, &post.folder.unlock()).unwrap();
    let make = async |custody: &dyn Custody, purpose, operator| {
        custody.generate(NewKey::active(purpose, operator, now())).await.unwrap()
    };
    let root = make(&root_store, Purpose::CityRoot, None).await;
    let by_root = (&root_store as &dyn Custody, &root);
    let root = certified(&root_store, &root, CertificatePurpose::Root, by_root).await;
    let operator = || Some(operator.parse().unwrap());
    let authority = make(custody, Purpose::IssuingAuthority, operator()).await;
    let by_root = (&root_store as &dyn Custody, &root);
    let authority = certified(custody, &authority, CertificatePurpose::Authority, by_root).await;
    let signer = make(custody, Purpose::DocumentSignerMdoc, operator()).await;
    certified(custody, &signer, CertificatePurpose::DocumentSigner, (custody, &authority)).await
}

fn rights() -> Rights {
    Rights {
        operator: "tram".parse().unwrap(),
        product: "month".parse().unwrap(),
        class: Some("first".parse().unwrap()),
        zones: vec!["A".parse().unwrap(), "B".parse().unwrap()],
        places: Vec::new(),
        recurrence: None,
        valid_from: now().saturating_sub(DAY),
        valid_until: now().saturating_add(5 * DAY),
        uses_max: None,
        holder_only: false,
    }
}

struct Device {
    key: P256Secret,
    agreement: P256Secret,
}

impl Device {
    fn new(number: u8) -> Self {
        let key = P256Secret::from_bytes([number; 32]);
        Self { key, agreement: P256Secret::from_bytes([number + 100; 32]) }
    }

    fn point(&self) -> [u8; 65] {
        AwsLc.p256_public(&self.agreement).unwrap()
    }

    fn statement(&self, wish: &Wish<'_>, at: Instant, count: u16) -> Statement {
        let (point, at) = (self.point(), u64::try_from(at.unix_seconds()).unwrap());
        let message = Statement::message(&AwsLc, &point, at, count, wish);
        let by_device = AwsLc.p256_sign(&self.key, &message).unwrap();
        Statement { point, at, count, by_device }
    }

    fn open(&self, answer: &[u8]) -> Batch {
        let answer = Answer::parse(answer).unwrap();
        let agreed = AwsLc.p256_agree(&self.agreement, &answer.ephemeral).unwrap();
        answer.open(&AwsLc, &agreed, &self.point()).unwrap()
    }
}

/// A service with a vault that has tomorrow's key of zone B, and a document signer.
struct Desk {
    post: Post,
    custody: Arc<Keystore>,
    vault: Arc<dyn Vault>,
    remote: RemoteVault,
    signer: Key,
    device: Device,
}

impl Desk {
    async fn new(vault: impl FnOnce(&Post) -> Arc<dyn Vault>) -> Self {
        let mut post = Post::closed();
        post.admit("clerk", &["readers", "cards", "personalise"]);
        let path = post.folder.path("city.keys");
        let custody = Arc::new(Keystore::open_server(&path, &post.folder.unlock()).unwrap());
        let vault = vault(&post);
        post.open_with(custody.clone(), Arc::clone(&vault));
        let remote = post.remote().await;
        let signer = document_signer(&post, &remote, "tram").await;
        for epoch in [epoch_at(now()), tomorrow()] {
            let (kind, scope) = (SecretKind::Epoch, Some(scope("B")));
            let (kdf, state, after, at) = (None, State::Active, 0, now());
            vault.generate(NewSecret { kind, scope, epoch, kdf, state, after, at }).await.unwrap();
        }
        let remote = RemoteVault::over(Arc::new(remote)).await.unwrap();
        Self { post, custody, vault, remote, signer, device: Device::new(1) }
    }

    async fn pass_by(&self, signer: &Key, rights: &Rights, until: Instant) -> Vec<u8> {
        let owned = rights.to_elements().unwrap();
        let elements: Vec<(&str, &[u8])> =
            owned.iter().map(|(name, value)| (*name, &value[..])).collect();
        let signed_at = now().saturating_sub(2 * DAY);
        let device_key = PublicKey::P256(AwsLc.p256_public(&self.device.key).unwrap());
        let request = IssueRequest {
            doc_type: DOC_TYPE,
            name_spaces: &[NameSpace { name: NAME_SPACE, elements: &elements }],
            device_key: &device_key,
            authorized_name_spaces: &[],
            validity: Validity {
                signed: signed_at,
                valid_from: signed_at,
                valid_until: until,
                expected_update: None,
            },
            status: None,
        };
        let chain = [signer.certificate.as_deref().unwrap()];
        let entropy = vec![3; elements.len() * ENTROPY_BYTES_PER_ELEMENT];
        let unsigned = credential::mdoc::issue(&AwsLc, &request, &chain, &entropy).unwrap();
        signed(&*self.custody, signer, unsigned).await.into_bytes()
    }

    async fn pass(&self, rights: &Rights) -> Vec<u8> {
        self.pass_by(&self.signer, rights, now().saturating_add(5 * DAY)).await
    }

    fn request(&self, pass: &[u8]) -> Request {
        self.request_at(pass, scope("B"), tomorrow())
    }

    fn request_at(&self, pass: &[u8], scope: Scope, epoch: u64) -> Request {
        let wish = Wish { issuer_signed: pass, scope: &scope, epoch };
        Request {
            issuer_signed: pass.to_vec(),
            statement: self.device.statement(&wish, now(), 48),
            scope,
            epoch,
            first: 0,
            count: 16,
            list: LIST.into(),
            index: 4_711,
        }
    }

    async fn ask(&self, request: &Request) -> Result<Vec<u8>, HandlesError> {
        self.remote.handles(&request.encode()).await
    }

    /// The keys of the scope and the epoch, as a gate derives them from what is delivered to it.
    async fn gate(&self, epoch: u64) -> ScopeKeys {
        let secret = self.vault.current(SecretKind::Epoch, &scope("B"), epoch).unwrap();
        let reader = Reader::new(1, Suite::P256);
        let delivery = self.vault.wrap_for(&secret.handle, &reader.verified).await.unwrap();
        let key = reader.open(&delivery.encode()).unwrap().try_into().unwrap();
        let Scope { operator, zone } = scope("B");
        let scope = ScopeId::new(&AwsLc, &operator, zone.as_ref());
        let context = Context { scope, epoch: u32::try_from(epoch).unwrap() };
        ScopeKeys::derive(&AwsLc, &key, context)
    }
}

fn opened(gate: &ScopeKeys, (handle, key): &(Handle, TapKey)) -> Content {
    let (content, tap_key) = gate.open(&AwsLc, handle).unwrap();
    assert_eq!(tap_key.danger_bytes(), key.danger_bytes());
    content
}

async fn check_served(desk: &Desk) {
    let pass = desk.pass(&rights()).await;
    let gate = desk.gate(tomorrow()).await;
    let batch = desk.device.open(&desk.ask(&desk.request(&pass)).await.unwrap());
    assert_eq!((batch.scope, batch.epoch, batch.handles.len()), (scope("B"), tomorrow(), 16));
    let begin = u32::try_from(tomorrow()).unwrap() * EPOCH_SECONDS;
    let expected = Content {
        needs_presence: false,
        is_counted: false,
        product: product_tag(&AwsLc, "month"),
        class: Some(class_tag(&AwsLc, "first")),
        status: Index { list: list_tag(&AwsLc, LIST), index: 4_711 },
        not_before: begin,
        not_after: begin + EPOCH_SECONDS - 1,
        number: 0,
    };
    for (number, handle) in (0..).zip(&batch.handles) {
        assert_eq!(opened(&gate, handle), Content { number, ..expected });
    }
    // The second batch of the same index goes on where the first ended, and no handle is like another.
    let more = Request { first: 16, count: 48, ..desk.request(&pass) };
    let more = desk.device.open(&desk.ask(&more).await.unwrap());
    assert_eq!(opened(&gate, &more.handles[47]).number, 63);
    let mut all: Vec<[u8; 60]> =
        batch.handles.iter().chain(&more.handles).map(|(handle, _)| handle.0).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 64);
    // Hours of a pass become the interval of its handles; uses are counted where they have a limit.
    let morning: Recurrence = "FREQ=DAILY".parse().unwrap();
    let recurrence = Some(morning.within(Window::new(360, 600).unwrap()));
    let pass = desk.pass(&Rights { recurrence, uses_max: Some(10), ..rights() }).await;
    let batch = desk.device.open(&desk.ask(&desk.request(&pass)).await.unwrap());
    let content = opened(&gate, &batch.handles[0]);
    assert_eq!((content.not_before, content.not_after), (begin + 21_600, begin + 35_999));
    assert!(content.is_counted);
}

#[tokio::test]
async fn a_device_gets_handles_that_gates_of_the_scope_open() {
    let desk = Desk::new(|post| Arc::new(software(&post.folder))).await;
    check_served(&desk).await;
    // Every request stands in the journal before its answer leaves: three served, and none else.
    let uses = std::fs::read_dir(&desk.post.config.journal).unwrap();
    let records: Vec<u8> = uses
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "uses"))
        .flat_map(|path| std::fs::read(path).unwrap())
        .collect();
    let count = records.windows(5).filter(|window| window == b"vault").count();
    assert_eq!(count, 3);
}

#[test]
fn a_device_gets_handles_where_the_epoch_keys_are_in_a_token() {
    alone(|softhsm| {
        let settings = softhsm.token("city");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let pool = keys::token::pool::Pool::open(&settings, Softhsm::pin()).unwrap();
            let vault = Arc::new(TokenVault::over(pool).unwrap());
            let desk = Desk::new(|_| vault).await;
            assert_eq!(&*desk.vault.secrets()[0].held_by, "token:city");
            check_served(&desk).await;
        });
    });
}

#[tokio::test]
async fn every_reason_to_refuse_is_named() {
    let desk = Desk::new(|post| Arc::new(software(&post.folder))).await;
    let pass = desk.pass(&rights()).await;
    let good = desk.request(&pass);
    assert!(desk.ask(&good).await.is_ok(), "control");
    let other_zone = Scope { zone: "C".parse().ok(), ..scope("B") };
    let no_key = Scope { zone: "A".parse().ok(), ..scope("B") };
    let other = Scope { operator: "bus".parse().unwrap(), ..scope("B") };
    let no_zone = Scope { zone: None, ..scope("B") };
    let elsewhere = Statement { point: [4; 65], ..good.statement.clone() };
    let later = |seconds: u64| now().saturating_add(Duration::from_secs(seconds));
    let earlier = |seconds: u64| now().saturating_sub(Duration::from_secs(seconds));
    let says = |device: &Device, pass: &[u8], at| {
        let wish = Wish { issuer_signed: pass, scope: &good.scope, epoch: good.epoch };
        device.statement(&wish, at, 48)
    };
    let today = epoch_at(now());
    let with = |statement| Request { statement, ..good.clone() };
    let at = |scope: Scope| desk.request_at(&pass, scope, tomorrow());
    let in_epoch = |epoch| desk.request_at(&pass, scope("B"), epoch);
    let counting = |first, count| Request { first, count, ..good.clone() };
    let more = Statement { count: 49, ..good.statement.clone() };
    let moved = |epoch| Request { epoch, ..good.clone() };
    for (what, request, expected) in [
        ("another device", with(says(&Device::new(2), &pass, now())), HandlesError::Device),
        ("another pass", with(says(&desk.device, b"other", now())), HandlesError::Device),
        ("too old", with(says(&desk.device, &pass, earlier(310))), HandlesError::Device),
        ("too young", with(says(&desk.device, &pass, later(310))), HandlesError::Device),
        ("another point", with(elsewhere), HandlesError::Device),
        ("more by itself", with(more), HandlesError::Device),
        ("another epoch than it says", moved(today), HandlesError::Device),
        ("a zone that the pass does not name", at(other_zone), HandlesError::Scope),
        ("another operator", at(other), HandlesError::Scope),
        ("no zone", at(no_zone), HandlesError::Scope),
        ("a zone without a key", at(no_key), HandlesError::Epoch),
        ("yesterday", in_epoch(today - 1), HandlesError::Epoch),
        ("too far ahead", in_epoch(today + 3), HandlesError::Epoch),
        ("an absurd epoch", in_epoch(u64::MAX), HandlesError::Epoch),
        ("none", counting(0, 0), HandlesError::Count),
        ("one more than it says", counting(0, 49), HandlesError::Count),
        ("one past the index", counting(49, 16), HandlesError::Count),
        ("past all numbers", counting(u16::MAX, u16::MAX), HandlesError::Count),
    ] {
        assert_eq!(desk.ask(&request).await, Err(expected), "{what}");
    }
    for (what, request) in [
        ("a clock that is off a little", with(says(&desk.device, &pass, earlier(290)))),
        ("the last numbers", counting(48, 16)),
    ] {
        assert!(desk.ask(&request).await.is_ok(), "control: {what}");
    }
    let bytes = good.encode();
    let cut = desk.remote.handles(&bytes[..bytes.len() - 1]).await;
    assert_eq!(cut, Err(HandlesError::Form));
}

#[tokio::test]
async fn a_pass_that_does_not_hold_gets_no_handles() {
    let desk = Desk::new(|post| Arc::new(software(&post.folder))).await;
    let why = async |pass: &[u8]| match desk.ask(&desk.request(pass)).await {
        Err(HandlesError::Pass { why }) => why,
        other => panic!("{other:?}"),
    };
    let pass = desk.pass(&rights()).await;
    assert!(desk.ask(&desk.request(&pass)).await.is_ok(), "control");
    // A zone that its holder wrote in by hand.
    let at = pass.windows(5).position(|window| window == b"month").unwrap();
    let mut changed = pass.clone();
    changed[at] = b'M';
    let changed = why(&changed).await;
    assert!(changed.contains("is not what was issued"), "{changed}");
    let over = desk.pass_by(&desk.signer, &rights(), now().saturating_sub(DAY / 2)).await;
    assert!(!why(&over).await.is_empty());
    // A document signer of another operator of the city, and one of another city.
    let bus = document_signer(&desk.post, &*desk.custody, "bus").await;
    let foreign = desk.pass_by(&bus, &rights(), now().saturating_add(DAY)).await;
    assert!(why(&foreign).await.contains("does not speak"));
    let own = Rights { operator: "bus".parse().unwrap(), ..rights() };
    let own = desk.pass_by(&bus, &own, now().saturating_add(DAY)).await;
    assert_eq!(desk.ask(&desk.request(&own)).await, Err(HandlesError::Scope), "control");
    let city = Desk::new(|post| Arc::new(software(&post.folder))).await;
    let pass = city.pass(&rights()).await;
    assert!(city.ask(&city.request(&pass)).await.is_ok(), "control");
    assert!(!why(&pass).await.is_empty());
}

#[tokio::test]
async fn rights_that_a_handle_cannot_say_and_passes_of_their_holder_alone_get_none() {
    let desk = Desk::new(|post| Arc::new(software(&post.folder))).await;
    let ask = async |rights: &Rights| {
        let pass = desk.pass(rights).await;
        desk.ask(&desk.request(&pass)).await
    };
    let night: Recurrence = "FREQ=DAILY".parse().unwrap();
    let by_night = |from, to| Rights {
        recurrence: Some(night.within(Window::new(from, to).unwrap())),
        ..rights()
    };
    assert!(ask(&by_night(360, 1_320)).await.is_ok(), "control");
    assert_eq!(ask(&by_night(1_320, 360)).await, Err(HandlesError::Hours));
    let over = Rights { valid_until: now().saturating_sub(DAY / 2), ..rights() };
    assert_eq!(ask(&over).await, Err(HandlesError::Hours));
    let own = Rights { holder_only: true, ..rights() };
    assert_eq!(ask(&own).await, Err(HandlesError::HolderOnly));
}

#[tokio::test]
async fn a_client_without_the_right_gets_no_handles() {
    let desk = Desk::new(|post| Arc::new(software(&post.folder))).await;
    let pass = desk.pass(&rights()).await;
    let request = desk.request(&pass).encode();
    assert!(desk.remote.handles(&request).await.is_ok(), "control");
    let clerk = Arc::new(desk.post.connect("clerk").await.unwrap());
    let clerk = RemoteVault::over(clerk).await.unwrap();
    assert_eq!(clerk.handles(&request).await, Err(HandlesError::NotAllowed));
}
