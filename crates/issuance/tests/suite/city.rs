//! A city with one operator, one product and one pass on offer; its server as a few methods.

use std::time::Duration;

use credential::crypto::{Algorithm, PublicKey};
use credential::rights::{DOC_TYPE, VCT};
use credential::rustcrypto::RustCrypto;
use credential::unsigned::Unsigned;
use credential::x509::build::{self, CertificateDer, Purpose, Request, Signer, Subject};
use credential::x509::{Certificate, TrustAnchors};
use issuance::access::{Access, AccessRefusal, Authorization, ProtectedRequest, check_access};
use issuance::attestation::Attester;
use issuance::change::Change;
use issuance::collect::{
    CollectRefusal, CollectRequest, CollectState, Collected, Desk, collect_documents,
};
use issuance::dpop::{BoundRequest, DpopProof, verify_dpop};
use issuance::issuer::{Endpoint, Issuer};
use issuance::nonce::{NonceKey, mint};
use issuance::offer::{OfferEntropy, OfferMade, make_offer};
use issuance::paper::formats_of;
use issuance::pass::{IssueRequest, Registered, issue_pass};
use issuance::product::{
    AttestationLevel, Display, Format, HANDLES_DEFAULT, RightsTemplate, Stake, Terms,
    TransactionCode, create_product,
};
use issuance::status_list::{draw_indexes, next_status_list};
use issuance::token::{OfferedPass, Redeemed, TokenRefused, redeem_offer};
use issuance::wire;
use policy::action::Action;
use policy::actor::{Actor, Resource};
use policy::authorize::{Permit, authorize};
use policy::role::{Role, Roles};
use vocabulary::code::OperatorCode;
use vocabulary::id::{OfferId, PersonId, TokenId};
use vocabulary::time::Instant;

use crate::rows::Rows;
use crate::wallet::{Key, ath, dpop};

/// The moment at which every test begins: 2026-11-02T08:00:00Z.
pub const NOW: i64 = 1_793_606_400;
/// How long the pass holds, and its offer is good.
pub const DAY: i64 = 86_400;

/// The formats of every product here.
pub const FORMATS: [Format; 3] = [Format::Mdoc, Format::SdJwt, Format::AccessDocument];

pub struct City {
    pub issuer: Issuer,
    pub nonce_key: NonceKey,
    pub attesters: Vec<Attester>,
    pub rows: Rows,
    pub code: String,
    pub transaction_code: Option<String>,
    pub anchors: TrustAnchors,
    signers: [Key; 2],
    chains: [CertificateDer; 2],
    counter: u8,
}

pub fn at(seconds: i64) -> Instant {
    Instant::from_unix_seconds(seconds)
}

pub fn operator() -> OperatorCode {
    "harbour".parse().unwrap()
}

/// A person in the register of an operator.
pub fn person(operator: &str) -> Registered {
    Registered { operator: operator.parse().unwrap(), id: PersonId::from_bytes([2; 16]) }
}

pub fn staff(action: Action) -> Permit {
    let actor = Actor::staff(operator(), TokenId::from_bytes([1; 16]), Roles::only(Role::Owner));
    authorize(&actor, action, Resource::of(operator())).unwrap()
}

pub fn worker(action: Action) -> Permit {
    authorize(&Actor::worker(operator()), action, Resource::of(operator())).unwrap()
}

pub fn wallet(action: Action, offer: OfferId) -> Permit {
    let actor = Actor::wallet(operator(), offer);
    authorize(&actor, action, Resource::offer(operator(), offer)).unwrap()
}

/// A ticket: bearer tokens, no transaction code, nothing attested.
pub fn ticket() -> Terms {
    Terms {
        display: vec![
            Display {
                language: "en".into(),
                name: "Day ticket".into(),
                description: "A and B".into(),
            },
            Display {
                language: "de".into(),
                name: "Tageskarte".into(),
                description: String::new(),
            },
        ],
        stake: Stake::Low,
        doc_type: DOC_TYPE.into(),
        vct: VCT.into(),
        formats: FORMATS.into(),
        rights: RightsTemplate {
            class: Some("first".parse().unwrap()),
            zones: vec!["A".parse().unwrap(), "B".parse().unwrap()],
            ..RightsTemplate::default()
        },
        pass_period_max: Duration::from_secs(31 * 86_400),
        document_life: Duration::from_secs(86_400),
        batch_max: 4,
        handles_max: HANDLES_DEFAULT,
        attestation_min: AttestationLevel::None,
        transaction_code: TransactionCode::NotRequired,
    }
}

/// A badge: bound tokens, a transaction code, keys attested at least as software.
pub fn badge() -> Terms {
    Terms {
        stake: Stake::High,
        attestation_min: AttestationLevel::Software,
        transaction_code: TransactionCode::Required,
        ..ticket()
    }
}

impl City {
    /// A city in which a pass of a product with these terms has just been offered.
    pub fn with(terms: Terms) -> Self {
        let (anchors, chains, signers) = authorities();
        let mut city = Self {
            issuer: Issuer::new(operator(), "Harbour".into(), "https://city.example").unwrap(),
            nonce_key: NonceKey::new([9; 32]),
            attesters: Vec::new(),
            rows: Rows::default(),
            code: String::new(),
            transaction_code: None,
            anchors,
            signers,
            chains,
            counter: 0,
        };
        let code = "day-ticket".parse().unwrap();
        let created = create_product(&staff(Action::ProductAdd), None, code, terms, at(NOW));
        city.rows.commit(created.unwrap()).unwrap();
        let request = IssueRequest {
            person: person("harbour"),
            valid_from: at(NOW),
            valid_until: at(NOW + 30 * DAY),
        };
        let product = city.rows.products[0].clone();
        let permit = staff(Action::PassIssue);
        let pass = issue_pass(&permit, &product, &request, at(NOW), [3; 10]).unwrap();
        city.rows.commit(vec![Change::Pass(pass)]).unwrap();
        let list = next_status_list(&operator(), &[], None, 0, at(NOW)).unwrap();
        city.rows.commit(vec![Change::StatusList(list)]).unwrap();
        let offered = city.offer(NOW);
        city.rows.commit(offered.changes()).unwrap();
        city.code = offered.code.reveal().to_owned();
        city.transaction_code = offered.transaction_code;
        city
    }

    /// Fresh entropy.
    pub fn entropy(&mut self) -> [u8; 32] {
        self.counter += 1;
        [self.counter; 32]
    }

    pub fn offer(&mut self, seconds: i64) -> OfferMade {
        let entropy = OfferEntropy {
            id: self.entropy()[..10].try_into().unwrap(),
            code: self.entropy(),
            transaction_code: [5; 8],
        };
        let (pass, product) = (&self.rows.passes[0], &self.rows.products[0]);
        let lifetime = Duration::from_secs(86_400);
        let formats = formats_of(&self.issuer, product, Some(Algorithm::Es256));
        let permit = staff(Action::PassOffer);
        make_offer(&permit, pass, product, formats, lifetime, at(seconds), &entropy).unwrap()
    }

    pub fn nonce(&mut self, seconds: i64) -> String {
        let entropy = self.entropy()[..16].try_into().unwrap();
        mint(&RustCrypto, &self.nonce_key, &operator(), at(seconds), entropy)
    }

    /// The token form of a wallet that does everything right.
    pub fn form(&self) -> String {
        let digits = self.transaction_code.as_ref();
        let tx_code = digits.map(|digits| format!("&tx_code={digits}")).unwrap_or_default();
        let grant = wire::percent::encode(wire::offer::PRE_AUTHORIZED_CODE);
        format!("grant_type={grant}&pre-authorized_code={}{tx_code}", self.code)
    }

    pub fn token_proof(&self, key: &Key, jti: &str, seconds: i64) -> DpopProof {
        let url = self.issuer.url(Endpoint::Token);
        let request = BoundRequest { method: "POST", url: &url, access_token: None };
        let text = dpop(key, &url, jti, seconds).sign(key);
        verify_dpop(&RustCrypto, &text, request, at(seconds)).unwrap()
    }

    /// The token endpoint: what a refusal costs is committed too.
    pub fn token(
        &mut self,
        form: &str,
        proof: Option<&DpopProof>,
        seconds: i64,
    ) -> Result<Redeemed, TokenRefused> {
        let request = wire::token::read(form.as_bytes())
            .map_err(|refusal| TokenRefused { refusal, changes: Vec::new() })?;
        let found = self.rows.offer(request.code_digest()).map(|offer| OfferedPass {
            offer,
            pass: &self.rows.passes[0],
            product: &self.rows.products[0],
        });
        let entropy = [77; 32];
        let answer = redeem_offer(&request, found, proof, at(seconds), entropy);
        let changes =
            answer.as_ref().map_or_else(|no| no.changes.clone(), |yes| yes.changes.clone());
        self.rows.commit(changes).unwrap();
        answer
    }

    /// Checks a token at the credential endpoint.
    pub fn access(
        &self,
        header: &str,
        proof: Option<&str>,
        seconds: i64,
    ) -> Result<Access, AccessRefusal> {
        let authorization = Authorization::parse(header)?;
        let url = self.issuer.url(Endpoint::Credential);
        let request = ProtectedRequest { authorization, dpop: proof, method: "POST", url: &url };
        let grant = self.rows.grant(authorization.token_digest());
        check_access(&RustCrypto, request, grant, at(seconds))
    }

    /// A redeemed token, shown as it must be.
    pub fn entered(&mut self, key: &Key, jti: &str, seconds: i64) -> Access {
        let form = self.form();
        if self.rows.grants.is_empty() {
            let proof = self.token_proof(key, "token", seconds);
            assert!(self.token(&form, Some(&proof), seconds).is_ok());
        }
        let token = issuance::secret::Secret::new([77; 32]);
        let url = self.issuer.url(Endpoint::Credential);
        let proof = dpop(key, &url, jti, seconds).claim("ath", ath(token.reveal())).sign(key);
        self.access(&format!("DPoP {}", token.reveal()), Some(&proof), seconds).unwrap()
    }

    pub fn desk(&self) -> Desk<'_> {
        Desk {
            crypto: &RustCrypto,
            issuer: &self.issuer,
            nonce_key: &self.nonce_key,
            attesters: &self.attesters,
            mdoc_chain: &[],
            sd_jwt_chain: &[],
        }
    }

    /// The credential endpoint up to the point where documents wait for their signatures.
    pub fn collect(
        &mut self,
        access: &Access,
        request: &CollectRequest,
        seconds: i64,
    ) -> Result<Collected, CollectRefusal> {
        let entropy = self.entropy();
        let list = &self.rows.status_lists[0];
        let free = self.rows.free(&draw_indexes(list, 32, entropy));
        let [mdoc_chain, sd_jwt_chain] = [0, 1].map(|n| [self.chains[n].as_bytes()]);
        let desk = Desk { mdoc_chain: &mdoc_chain, sd_jwt_chain: &sd_jwt_chain, ..self.desk() };
        let state = CollectState {
            pass: &self.rows.passes[0],
            product: &self.rows.products[0],
            status_list: list,
            free_indexes: &free,
        };
        let permit = wallet(Action::CredentialCollect, access.grant().offer);
        collect_documents(desk, &permit, access, state, request, at(seconds), entropy)
    }

    /// The key by which mdocs and access documents are signed.
    pub fn signer(&self) -> &PublicKey {
        &self.signers[0].public
    }

    /// From now on mdocs are signed by a key on P-384.
    pub fn hand_over_to_es384(&mut self) {
        let (root, authority) = (Key::new(21), Key::new(22));
        let root_der = certificate(Purpose::Root, "City root", &root.public, 1, None, &root);
        let above = Some(&root_der);
        let by = certificate(Purpose::Authority, "Harbour", &authority.public, 2, above, &root);
        let key = PublicKey::P384([4; 97]);
        let (purpose, above) = (Purpose::DocumentSigner, Some(&by));
        self.chains[0] = certificate(purpose, "Harbour signer", &key, 9, above, &authority);
    }

    /// Signs with the key of the format.
    pub fn sign(&self, format: Format, documents: Vec<Unsigned<String>>) -> Vec<String> {
        let key = &self.signers[usize::from(format == Format::SdJwt)];
        let sign = |document: Unsigned<String>| {
            let signature = key.sign(document.to_be_signed());
            document.complete(&signature)
        };
        documents.into_iter().map(sign).collect()
    }
}

/// A root, an issuing authority below it, and two document signers below that.
fn authorities() -> (TrustAnchors, [CertificateDer; 2], [Key; 2]) {
    let (root, authority) = (Key::new(21), Key::new(22));
    let signers = [Key::new(23), Key::new(24)];
    let root_der = certificate(Purpose::Root, "City root", &root.public, 1, None, &root);
    let authority_der =
        certificate(Purpose::Authority, "Harbour", &authority.public, 2, Some(&root_der), &root);
    let chains = [0, 1].map(|n: usize| {
        let key = &signers[n].public;
        let serial = 3 + u8::try_from(n).unwrap();
        let (purpose, above) = (Purpose::DocumentSigner, Some(&authority_der));
        certificate(purpose, "Harbour signer", key, serial, above, &authority)
    });
    let anchors = TrustAnchors::from_ders([authority_der.as_bytes()]).unwrap();
    (anchors, chains, signers)
}

fn certificate(
    purpose: Purpose,
    name: &str,
    key: &PublicKey,
    serial: u8,
    above: Option<&CertificateDer>,
    signer: &Key,
) -> CertificateDer {
    let days: i64 = match purpose {
        Purpose::Root => 3650,
        Purpose::Authority => 1800,
        _ => 90,
    };
    let request = Request {
        purpose,
        subject: Subject { common_name: name, organization: None, country: "UT" },
        key,
        not_before: at(NOW - DAY),
        not_after: at(NOW + days * DAY),
        serial_entropy: [serial; 16],
        issuer_uri: "https://city.example",
        crl_uri: "https://city.example/crl",
    };
    let above = above.map(|der| Certificate::parse(der.as_bytes()).unwrap());
    let by = above.as_ref().map_or(Signer::Subject, Signer::Authority);
    let unsigned = build::certificate(&request, by).unwrap();
    let signature = signer.sign(unsigned.to_be_signed());
    unsigned.complete(&signature)
}
