//! Token Status List: our lists are read there, theirs here, and a revoked pass is refused.

use core::time::Duration;

use conformance::peer::Implementation;
use credential::jose::HeaderParts;
use credential::rustcrypto::RustCrypto;
use credential::status::{
    Bits, Expectation, Status, StatusList, StatusListClaims, StatusReference, VerifiedStatusList,
};
use credential::x509::TrustAnchors;
use serde_json::{Value, json};

use crate::city::City;
use crate::peers::ask;
use crate::sd_jwt;

const URI: &str = "https://city.example/status/1";
const STATUSES: [(u64, Status); 3] =
    [(0, Status::Valid), (7, Status::Invalid), (100, Status::Suspended)];

fn token_here(city: &City) -> String {
    let mut list = StatusList::new(Bits::Two, 1024).unwrap();
    for (index, status) in STATUSES {
        list.set(index, status).unwrap();
    }
    let claims = StatusListClaims {
        uri: URI.into(),
        issued_at: city.now,
        expires_at: Some(city.at(1)),
        ttl: Some(Duration::from_secs(3600)),
        list,
    };
    let header = HeaderParts::new(city.signer.public().algorithm(), "");
    city.signer.sign(claims.jwt(header)).into_string()
}

#[test]
fn our_list_is_read_by_the_peer() {
    let city = City::new();
    let indices: Vec<u64> = STATUSES.iter().map(|(index, _)| *index).collect();
    let job = json!({ "job": "read_status", "token": token_here(&city), "indices": indices });
    let answer = ask(Implementation::SdJwtVc, &job);
    assert_eq!(answer, json!({ "bits": 2, "statuses": [0, 1, 2] }));
}

#[test]
fn a_list_of_the_peer_is_read_here() {
    let city = City::new();
    let statuses: Vec<u8> = (0..64).map(|index| index % 3).collect();
    let job = json!({
        "job": "issue_status", "statuses": statuses, "bits": 2, "signer": city.signer.jwk(),
        "claims": { "sub": URI, "iat": city.now.unix_seconds() },
    });
    let answer = ask(Implementation::SdJwtVc, &job);
    let token = answer["token"].as_str().unwrap();
    let mut anchors = TrustAnchors::new();
    anchors.add_key(city.signer.public()).unwrap();
    let expectation = Expectation { anchors: &anchors, at: city.at(0), uri: Some(URI) };
    let list = VerifiedStatusList::verify_jwt(&RustCrypto, token, &expectation).unwrap();
    for (index, status) in (0..64).zip(statuses) {
        let expected = [Status::Valid, Status::Invalid, Status::Suspended][usize::from(status)];
        assert_eq!(list.status(StatusReference { uri: URI, index }).unwrap(), expected);
    }
    let mut strangers = TrustAnchors::new();
    strangers.add_key(City::stranger().signer.public()).unwrap();
    let stranger = Expectation { anchors: &strangers, ..expectation };
    assert!(VerifiedStatusList::verify_jwt(&RustCrypto, token, &stranger).is_err());
}

#[test]
fn the_peer_refuses_our_pass_once_our_list_revokes_it() {
    let city = City::new();
    let verify = |index: u64| -> Value {
        let document = sd_jwt::issue_here(&city, Some(StatusReference { uri: URI, index }));
        let job = json!({
            "job": "verify", "document": document, "issuer": city.signer.jwk(), "at": city.day(0),
            "status_token": token_here(&city), "status_issuer": city.signer.jwk(),
        });
        ask(Implementation::SdJwtVc, &job)["valid"].clone()
    };
    assert_eq!([0, 7, 100].map(verify), [json!(true), json!(false), json!(false)]);
}
