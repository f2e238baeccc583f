//! Who verifies: a reader that knows the issuing authority, a status list of a million passes and
//! an access table. The steps are those of the reader's engine, whose own way is for city passes
//! alone: open, verify, status, table.

use core::time::Duration;

use credential::aws_lc::AwsLc;
use credential::mdoc::{Expectation, Session, verify_response};
use credential::status::{Bits, CwtHeader, Status, StatusList, StatusListClaims};
use credential::x509::{SignerCache, TrustAnchors};
use presentation::session::Channel;
use presentation::session::message::SessionData;
use reader::snapshot::{ClassPolicy, Stale, StatusSnapshot};
use reader::table::{AccessTable, Claim, Door, Need, Rule, ZoneClass};
use vocabulary::code::{OperatorCode, PlaceCode, ProductCode};
use vocabulary::time::Instant;

use super::city::{City, Key};
use super::licence::{DOC_TYPE, Presentation, STATUS_INDEX, STATUS_URI};

const PASSES: usize = 1_000_000;
/// Products that the door accepts.
const RULES: u32 = 1_000;

pub struct Gate {
    anchors: TrustAnchors,
    status: StatusSnapshot,
    table: AccessTable,
    door: PlaceCode,
    operator: OperatorCode,
    product: ProductCode,
    at: Instant,
}

impl Gate {
    pub fn new(city: &City) -> Self {
        Self::knowing(city, &[])
    }

    /// A gate whose bundle tells it document signers beside the authority.
    pub fn knowing(city: &City, signers: &[&[u8]]) -> Self {
        let door: PlaceCode = "roads/registry".parse().unwrap();
        let rule = |product: &str| Rule {
            operator: "roads".parse().unwrap(),
            product: product.parse().unwrap(),
            class: None,
            need: Need::Nothing,
        };
        let others = (0..RULES).map(|n| rule(&format!("product-{n}")));
        let rules = others.chain([rule("licence")]).collect();
        let known = [city.authority.as_slice()].into_iter().chain(signers.iter().copied());
        let mut anchors = TrustAnchors::from_ders(known).unwrap();
        anchors.hash_document_signers(&AwsLc);
        let one = Door::new(door.clone(), None, ZoneClass::High, rules).unwrap();
        Self {
            anchors,
            status: status(city),
            table: AccessTable::new(vec![one]).unwrap(),
            door,
            operator: "roads".parse().unwrap(),
            product: "licence".parse().unwrap(),
            at: city.now,
        }
    }

    /// Everything from the sealed message to an open door. A message that does not open it is a
    /// fault of the benchmark.
    pub fn judge(
        &self,
        presentation: &Presentation,
        mut channel: Channel,
        cache: Option<&mut SignerCache>,
    ) {
        let message = SessionData::parse(&presentation.message).unwrap();
        let response = channel.open(&AwsLc, message.data.unwrap()).unwrap();
        let transcript = presentation.transcript.as_bytes();
        let expectation = Expectation {
            crypto: &AwsLc,
            anchors: &self.anchors,
            at: self.at,
            doc_type: Some(DOC_TYPE),
            session: Some(Session { transcript, reader_secret: None }),
        };
        let response = verify_response(&response, &expectation, cache).unwrap();
        for document in response.documents() {
            let door = self.table.door(&self.door).unwrap();
            let policy =
                ClassPolicy { status_age_max: Duration::from_secs(86_400), stale: Stale::Refuse };
            self.status.judge(document.status(), door.class(), policy, self.at).unwrap();
            let claim = Claim {
                operator: &self.operator,
                product: &self.product,
                class: None,
                zones: &[],
                places: &[],
            };
            std::hint::black_box(door.judge(&claim).unwrap());
        }
    }
}

/// A status list in which every hundredth pass is revoked.
fn status(city: &City) -> StatusSnapshot {
    let key = Key::new(0x77);
    let mut list = StatusList::new(Bits::Two, PASSES).unwrap();
    for index in (0..PASSES as u64).step_by(100) {
        list.set(index, Status::Invalid).unwrap();
    }
    list.set(STATUS_INDEX, Status::Valid).unwrap();
    let claims = StatusListClaims {
        uri: STATUS_URI.into(),
        issued_at: city.now,
        expires_at: None,
        ttl: None,
        list,
    };
    let algorithm = credential::crypto::Algorithm::Es256;
    let token = key.sign(claims.cwt(CwtHeader { algorithm, kid: None, x5chain: &[] }));
    let mut signers = TrustAnchors::new();
    signers.add_key(key.public()).unwrap();
    let mut snapshot = StatusSnapshot::new();
    snapshot.update(&AwsLc, &token, &signers, city.now).unwrap();
    snapshot
}
