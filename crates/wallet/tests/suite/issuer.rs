//! An operator that issues passes by OpenID4VCI, in process; its answers can be bent on their way.

use credential::crypto::{Algorithm, PublicKey};
use credential::jose::base64url;
use credential::rights::{DOC_TYPE, VCT};
use issuance::access::{Access, Authorization, ProtectedRequest, check_access};
use issuance::change::Change;
use issuance::collect::{CollectState, Desk, collect_documents};
use issuance::document::Document;
use issuance::dpop::{BoundRequest, verify_dpop};
use issuance::issuer::{Endpoint, Issuer, SERVER_WELL_KNOWN};
use issuance::nonce::{NonceKey, mint};
use issuance::notification::note_delivery;
use issuance::offer::{Offer, OfferEntropy, link_by_value, make_offer};
use issuance::pass::{IssueRequest, Pass, Registered, issue_pass};
use issuance::product::{
    AttestationLevel, Display, Format, Product, RightsTemplate, Stake, Terms, TransactionCode,
    create_product,
};
use issuance::secret::Digest;
use issuance::status_list::{StatusList, draw_indexes, next_status_list};
use issuance::token::{Grant, OfferedPass, redeem_offer};
use issuance::wire;
use policy::action::Action;
use policy::actor::{Actor, Resource};
use policy::authorize::{Permit, authorize};
use policy::role::{Role, Roles};
use serde_json::Value;
use vocabulary::code::OperatorCode;
use vocabulary::id::{PersonId, TokenId};
use wallet::collect::Request;
use wallet::offer::Link;

use crate::city::{CRYPTO, City, Identity, days, noon, sign};

/// An answer on its way to the wallet.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) dpop_nonce: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    fn new(status: u16, body: String) -> Self {
        Self { status, dpop_nonce: None, body: body.into_bytes() }
    }

    /// The body as JSON, changed.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Value)) {
        let mut body = serde_json::from_slice(&self.body).unwrap();
        change(&mut body);
        self.body = body.to_string().into_bytes();
    }
}

/// Changes an answer of the endpoint with this last segment of its path.
pub(crate) type Bend = Box<dyn FnMut(&str, &mut Reply)>;

pub(crate) struct Town {
    pub(crate) bend: Bend,
    /// Wants this nonce in every DPoP proof.
    pub(crate) dpop_nonce: Option<&'static str>,
    /// What wallets said of documents, in order.
    pub(crate) notified: Vec<String>,
    /// Requests to the token endpoint.
    pub(crate) token_requests: usize,
    pub(crate) documents: Vec<Document>,
    issuer: Issuer,
    signer: Identity,
    product: Product,
    pass: Pass,
    list: StatusList,
    offer: Offer,
    code: String,
    pub(crate) transaction_code: String,
    grant: Option<Grant>,
    onces: Vec<Digest>,
    nonce_key: NonceKey,
    counter: u8,
}

fn operator() -> OperatorCode {
    "transit".parse().unwrap()
}

fn staff(action: Action) -> Permit {
    let actor = Actor::staff(operator(), TokenId::from_bytes([1; 16]), Roles::only(Role::Owner));
    authorize(&actor, action, Resource::of(operator())).unwrap()
}

fn terms(display: &str) -> Terms {
    Terms {
        display: vec![Display {
            language: "en".into(),
            name: display.into(),
            description: String::new(),
        }],
        stake: Stake::High,
        doc_type: DOC_TYPE.into(),
        vct: VCT.into(),
        formats: vec![Format::Mdoc, Format::SdJwt, Format::AccessDocument],
        rights: RightsTemplate {
            zones: vec!["A".parse().unwrap(), "B".parse().unwrap()],
            ..RightsTemplate::default()
        },
        pass_period_max: days(31),
        document_life: days(10),
        batch_max: 4,
        handles_max: 32,
        attestation_min: AttestationLevel::Software,
        transaction_code: TransactionCode::Required,
    }
}

impl Town {
    /// An operator with one ticket on offer, in three formats.
    pub(crate) fn new(city: &City) -> Self {
        let code = "ticket".parse().unwrap();
        let created =
            create_product(&staff(Action::ProductAdd), None, code, terms("Ticket"), noon());
        let [Change::Product(product)] = <[Change; 1]>::try_from(created.unwrap()).unwrap() else {
            panic!("a product");
        };
        let request = IssueRequest {
            person: Registered { operator: operator(), id: PersonId::from_bytes([2; 16]) },
            valid_from: noon(),
            valid_until: noon().saturating_add(days(30)),
        };
        let pass = issue_pass(&staff(Action::PassIssue), &product, &request, noon(), [3; 10]);
        let pass = pass.unwrap();
        let entropy = OfferEntropy { id: [4; 10], code: [5; 32], transaction_code: [6; 8] };
        let permit = staff(Action::PassOffer);
        let formats = product.terms.formats.clone();
        let made =
            make_offer(&permit, &pass, &product, formats, days(1), noon(), &entropy).unwrap();
        Self {
            bend: Box::new(|_, _| {}),
            dpop_nonce: None,
            notified: Vec::new(),
            token_requests: 0,
            documents: Vec::new(),
            issuer: Issuer::new(operator(), "Transit".into(), "https://city.example").unwrap(),
            signer: city.signer.clone(),
            list: next_status_list(&operator(), &[], None, 0, noon()).unwrap(),
            code: made.code.reveal().to_owned(),
            transaction_code: made.transaction_code.unwrap(),
            offer: made.offer,
            product,
            pass,
            grant: None,
            onces: Vec::new(),
            nonce_key: NonceKey::new([9; 32]),
            counter: 0,
        }
    }

    pub(crate) fn bent(city: &City, bend: impl FnMut(&str, &mut Reply) + 'static) -> Self {
        Self { bend: Box::new(bend), ..Self::new(city) }
    }

    /// The offer, as the wallet reads it from its link.
    pub(crate) fn offered(&self) -> wallet::offer::Offer {
        let link = link_by_value(&self.issuer, &self.offer, &self.code);
        match wallet::offer::parse_link(&link).unwrap() {
            Link::Value(offer) => offer,
            Link::Reference(url) => panic!("{url}"),
        }
    }

    /// Whether it issued a document for this key.
    pub(crate) fn knows(&self, key: &PublicKey) -> bool {
        let thumbprint = credential::jose::jwk::thumbprint(CRYPTO, key);
        self.documents.iter().any(|document| document.key_thumbprint == thumbprint)
    }

    pub(crate) fn answer(&mut self, request: &Request) -> Reply {
        let path = request.url.strip_prefix("https://city.example").expect("its own host");
        if let Some(nonce) = self.dpop_nonce.filter(|nonce| !has_nonce(request, nonce)) {
            let body = wire::error::write("use_dpop_nonce", "as RFC 9449 says");
            return Reply { dpop_nonce: Some(nonce.into()), ..Reply::new(400, body) };
        }
        let own = |endpoint| self.issuer.url(endpoint) == request.url;
        let (name, mut reply) = match () {
            () if path.starts_with(SERVER_WELL_KNOWN) => {
                ("server", Reply::new(200, wire::metadata::server_metadata(&self.issuer)))
            }
            () if path.starts_with("/.well-known/") => {
                let products = core::slice::from_ref(&self.product);
                let signer = Some(Algorithm::Es256);
                let metadata = wire::metadata::issuer_metadata(&self.issuer, products, signer);
                ("issuer", Reply::new(200, metadata))
            }
            () if own(Endpoint::Token) => ("token", self.token(request)),
            () if own(Endpoint::Nonce) => ("nonce", self.nonce()),
            () if own(Endpoint::Credential) => ("credential", self.credential(request)),
            () if own(Endpoint::Notification) => ("notification", self.notification(request)),
            () => panic!("the wallet calls {path}"),
        };
        (self.bend)(name, &mut reply);
        reply
    }

    fn entropy(&mut self) -> [u8; 32] {
        self.counter += 1;
        [self.counter; 32]
    }

    fn commit(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Product(row) => self.product = row,
                Change::Pass(row) => self.pass = row,
                Change::Offer(row) => self.offer = row,
                Change::Grant(row) => self.grant = Some(row),
                Change::StatusList(row) => self.list = row,
                Change::HandleIndex(_) => panic!("nobody asks for handles here"),
                Change::Document(row) => {
                    self.documents.retain(|document| document.id != row.id);
                    self.documents.push(row);
                }
                Change::Once(row) => {
                    assert!(!self.onces.contains(&row.digest), "the wallet repeats a proof");
                    self.onces.push(row.digest);
                }
            }
        }
    }

    fn token(&mut self, request: &Request) -> Reply {
        self.token_requests += 1;
        let form = wire::token::read(&request.body).unwrap();
        let bound = BoundRequest { method: "POST", url: &request.url, access_token: None };
        let proof = verify_dpop(CRYPTO, header(request, "dpop"), bound, noon()).unwrap();
        let found = OfferedPass { offer: &self.offer, pass: &self.pass, product: &self.product };
        match redeem_offer(&form, Some(found), Some(&proof), noon(), [77; 32]) {
            Ok(redeemed) => {
                let reply = Reply::new(200, wire::token::write(&redeemed));
                self.commit(redeemed.changes);
                reply
            }
            Err(refused) => {
                let code = refused.refusal.oauth_error();
                self.commit(refused.changes);
                Reply::new(400, wire::error::write(code, "no"))
            }
        }
    }

    fn nonce(&mut self) -> Reply {
        let entropy = self.entropy()[..16].try_into().unwrap();
        let nonce = mint(CRYPTO, &self.nonce_key, &operator(), noon(), entropy);
        Reply::new(200, wire::credential::write_nonce(&nonce))
    }

    fn access(&self, request: &Request) -> Access {
        let authorization = Authorization::parse(header(request, "authorization")).unwrap();
        let dpop = Some(header(request, "dpop"));
        let shown = ProtectedRequest { authorization, dpop, method: "POST", url: &request.url };
        check_access(CRYPTO, shown, self.grant.as_ref(), noon()).unwrap()
    }

    fn credential(&mut self, request: &Request) -> Reply {
        let access = self.access(request);
        let wanted = wire::credential::read(&request.body).unwrap();
        let entropy = self.entropy();
        let taken = |index: &u32| self.documents.iter().any(|d| d.status_index == *index);
        let mut free = draw_indexes(&self.list, 32, entropy);
        free.retain(|index| !taken(index));
        let chain = [self.signer.der.as_slice()];
        let desk = Desk {
            crypto: CRYPTO,
            issuer: &self.issuer,
            nonce_key: &self.nonce_key,
            attesters: &[],
            mdoc_chain: &chain,
            sd_jwt_chain: &chain,
        };
        let state = CollectState {
            pass: &self.pass,
            product: &self.product,
            status_list: &self.list,
            free_indexes: &free,
        };
        let permit = self.permit(Action::CredentialCollect, &access);
        let collected =
            match collect_documents(desk, &permit, &access, state, &wanted, noon(), entropy) {
                Ok(collected) => collected,
                Err(no) => {
                    return Reply::new(400, wire::error::write(no.oauth_error(), no.code()));
                }
            };
        let sign = |document| sign(&self.signer.key, document);
        let texts: Vec<String> = collected.documents.into_iter().map(sign).collect();
        let reply = wire::credential::write(&texts, collected.notification.reveal());
        self.commit(collected.changes);
        Reply::new(200, reply)
    }

    fn notification(&mut self, request: &Request) -> Reply {
        let access = self.access(request);
        let said = wire::notification::read(&request.body).unwrap();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        self.notified.push(body["event"].as_str().unwrap().to_owned());
        let digest = said.notification_digest();
        let own = |document: &&Document| document.notification_digest == digest;
        let found: Vec<Document> = self.documents.iter().filter(own).cloned().collect();
        let permit = self.permit(Action::CredentialNotify, &access);
        let changes = note_delivery(&permit, &access, &said, &found).unwrap();
        self.commit(changes);
        Reply::new(204, String::new())
    }

    fn permit(&self, action: Action, access: &Access) -> Permit {
        let offer = access.grant().offer;
        let actor = Actor::wallet(operator(), offer);
        authorize(&actor, action, Resource::offer(operator(), offer)).unwrap()
    }
}

fn header<'r>(request: &'r Request, name: &str) -> &'r str {
    let found = request.headers.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| value.as_str()).expect("a header")
}

/// Whether the DPoP proof of a request, if it has one, holds this nonce.
fn has_nonce(request: &Request, nonce: &str) -> bool {
    request.headers.iter().filter(|(name, _)| *name == "dpop").all(|(_, proof)| {
        let claims = base64url::decode(proof.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice::<Value>(&claims).unwrap()["nonce"] == nonce
    })
}
