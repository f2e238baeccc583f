//! SD-JWT (RFC 9901) and SD-JWT VC: every issuer, holder and verifier with every other.

use conformance::peer::{Implementation, Peer};
use credential::crypto::HashAlgorithm;
use credential::jose::HeaderParts;
use credential::rejection::Culprit;
use credential::rustcrypto::RustCrypto;
use credential::sd_jwt::{
    self, Challenge, CredentialRequest, Expectation, KeyBindingRule, Presence, Profile, SdJwt,
};
use credential::x509::TrustAnchors;
use serde_json::{Map, Value, json};

use crate::city::City;

pub(crate) const VCT: &str = "urn:limen:pass:1";
const AUDIENCE: &str = "https://gate.example";
const NONCE: &str = "n-0S6_WzA2Mj";

/// Who plays a part: Limen, or one of the peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Player {
    Limen,
    Npm,
    Python,
}

const PLAYERS: [Player; 3] = [Player::Limen, Player::Npm, Player::Python];

struct Stage {
    city: City,
    npm: Peer,
    python: Peer,
}

/// Claims of a pass, without those of the credential itself.
fn subject() -> Map<String, Value> {
    let Value::Object(claims) =
        json!({ "operator": "tramways", "product": "first-class", "zones": ["A", "B"] })
    else {
        panic!("claims are an object")
    };
    claims
}

impl Stage {
    fn new() -> Self {
        Self {
            city: City::new(),
            npm: Peer::start(Implementation::SdJwtVc).unwrap(),
            python: Peer::start(Implementation::SdJwtPython).unwrap(),
        }
    }

    fn ask(&mut self, player: Player, job: &Value) -> Value {
        match player {
            Player::Npm => self.npm.ask(job).unwrap(),
            Player::Python => self.python.ask(job).unwrap(),
            Player::Limen => panic!("Limen is no foreign peer"),
        }
    }

    /// Operator and zones are to be disclosed at will; the product is always readable.
    fn issue(&mut self, issuer: Player) -> String {
        if issuer == Player::Limen {
            return issue_here(&self.city, None);
        }
        let mut claims = subject();
        let now = self.city.now.unix_seconds();
        let of_credential =
            json!({ "iss": "https://city.example", "vct": VCT, "iat": now, "exp": now + 3600 });
        claims.extend(of_credential.as_object().unwrap().clone());
        if issuer == Player::Npm {
            claims.insert("cnf".into(), json!({ "jwk": public(&self.city.device.jwk()) }));
        }
        let job = json!({
            "job": "issue", "claims": claims, "disclosable": ["operator", "zones"],
            "signer": self.city.signer.jwk(), "device": self.city.device.jwk(),
        });
        self.ask(issuer, &job)["document"].as_str().unwrap().to_owned()
    }

    fn present(&mut self, holder: Player, document: &str) -> String {
        if holder == Player::Limen {
            let presentation =
                SdJwt::parse(document).unwrap().disclose(&RustCrypto, &["/operator"]).unwrap();
            let challenge = Challenge { audience: AUDIENCE, nonce: NONCE, at: self.city.now };
            let algorithm = self.city.device.public().algorithm();
            return self
                .city
                .device
                .sign(presentation.bind(&RustCrypto, algorithm, &challenge))
                .into_string();
        }
        let job = json!({
            "job": "present", "document": document, "disclose": ["operator"], "audience": AUDIENCE,
            "nonce": NONCE, "at": self.city.day(0), "device": self.city.device.jwk(),
        });
        self.ask(holder, &job)["document"].as_str().unwrap().to_owned()
    }

    /// The claims that the verifier believes, if it does.
    fn verify(
        &mut self,
        verifier: Player,
        presentation: &str,
        issuer: &City,
        nonce: &str,
    ) -> Option<Value> {
        if verifier == Player::Limen {
            return verify_here(issuer, presentation, nonce).ok();
        }
        let job = json!({
            "job": "verify", "document": presentation, "issuer": public(&issuer.signer.jwk()),
            "audience": AUDIENCE, "nonce": nonce, "at": self.city.day(0),
        });
        let verdict = self.ask(verifier, &job);
        (verdict["valid"] == true).then(|| verdict["claims"].clone())
    }
}

fn public(jwk: &Value) -> Value {
    let mut jwk = jwk.clone();
    jwk.as_object_mut().unwrap().remove("d");
    jwk
}

pub(crate) fn issue_here(
    city: &City,
    status: Option<credential::status::StatusReference<'_>>,
) -> String {
    let request = CredentialRequest {
        header: HeaderParts::new(city.signer.public().algorithm(), ""),
        vct: VCT,
        issuer: Some("https://city.example"),
        issued_at: city.now,
        not_before: None,
        expires_at: Some(city.at(1)),
        holder_key: Some(&city.device.public()),
        status,
        claims: subject(),
        concealed: &["/operator", "/zones"],
        decoys: &[],
        hash: HashAlgorithm::Sha256,
        salts: &[[7; 16], [8; 16]],
    };
    city.signer.sign(request.issue(&RustCrypto).unwrap()).into_string()
}

fn verify_here(issuer: &City, presentation: &str, nonce: &str) -> Result<Value, Culprit> {
    let mut anchors = TrustAnchors::new();
    anchors.add_key(issuer.signer.public()).unwrap();
    let expectation = Expectation {
        anchors: &anchors,
        at: issuer.now,
        profile: Profile::Credential { vct: Some(VCT) },
        key_binding: KeyBindingRule {
            presence: Presence::Required,
            audience: Some(AUDIENCE),
            nonce: Some(nonce),
            window: Default::default(),
        },
    };
    let verified =
        sd_jwt::verify(&RustCrypto, presentation, &expectation).map_err(|bad| bad.culprit)?;
    Ok(Value::Object(verified.claims().clone()))
}

#[test]
fn every_issuer_holder_and_verifier_agree() {
    let mut stage = Stage::new();
    let (city, stranger) = (City::new(), City::stranger());
    for issuer in PLAYERS {
        let document = stage.issue(issuer);
        for holder in PLAYERS {
            let presentation = stage.present(holder, &document);
            let other = format!(
                "{}~{}",
                document.split('~').next().unwrap(),
                presentation.rsplit('~').next().unwrap()
            );
            for verifier in PLAYERS {
                let parts =
                    format!("issued by {issuer:?}, shown by {holder:?}, verified by {verifier:?}");
                let claims = stage.verify(verifier, &presentation, &city, NONCE).expect(&parts);
                assert_eq!(claims["operator"], "tramways", "{parts}");
                assert_eq!(claims["product"], "first-class", "{parts}");
                assert_eq!(claims.get("zones"), None, "{parts}");
                let refused = [
                    ("another nonce", stage.verify(verifier, &presentation, &city, "other")),
                    ("a stranger's key", stage.verify(verifier, &presentation, &stranger, NONCE)),
                    ("a proof for another choice", stage.verify(verifier, &other, &city, NONCE)),
                ];
                for (what, outcome) in refused {
                    assert_eq!(outcome, None, "{parts}: {what}");
                }
            }
        }
    }
}
