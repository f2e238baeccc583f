//! The custody of a token, and the vault, on two tokens that share no code: SoftHSM2 and Kryoptic. What
//! one of them lacks is data, and is refused by name.
//!
//! `cargo xtask test --slow` builds Kryoptic and says in `LIMEN_KRYOPTIC` where its module is; without
//! it its tests print `NOT RUN`, and with `CI=true` they fail.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests may panic"
)]

mod cards;
mod kryoptic;
#[path = "../suite/samples.rs"]
#[allow(dead_code, reason = "the quick tests use more of the samples")]
mod samples;
#[path = "../suite/softhsm.rs"]
#[allow(dead_code, reason = "the quick tests use more of the fixture")]
mod softhsm;
mod trusted;

use std::process::Command;
use std::time::Instant as Moment;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, UnparsedPublicKey,
};
use keys::custody::{Custody, KeepError, Key, NewKey, SignError, State};
use keys::object::TypedObject;
use keys::purpose::{Purpose, Suite};
use keys::token::pin::Pin;
use keys::token::pool::{PinRefusal, Pool, PoolError};
use keys::token::{Role, Settings, Token, TokenError, doctor};
use vocabulary::time::Instant;

use softhsm::{Softhsm, alone};

const AT: Instant = Instant::from_unix_seconds(1_790_000_000);

/// What is expected of one kind of token.
struct Kind {
    name: &'static str,
    /// Purposes that it cannot hold, each with the mechanism that it lacks.
    lacks: &'static [(Purpose, &'static str)],
    /// Deeds that it cannot do, by the mechanism that it lacks.
    cannot: &'static [&'static str],
}

const SOFTHSM: Kind =
    Kind { name: "SoftHSM 2", lacks: &[], cannot: &["CKM_SP800_108_COUNTER_KDF"] };
/// Built with OpenSSL 3.0, which has no way to Ed25519 that it uses.
const KRYOPTIC: Kind = Kind {
    name: "Kryoptic",
    lacks: &[(Purpose::Checkpoint, "CKM_EC_EDWARDS_KEY_PAIR_GEN")],
    cannot: &["CKM_AES_KEY_WRAP_PAD"],
};

#[test]
fn softhsm_keeps_the_city() {
    alone(|softhsm| custody(&softhsm.token("city"), &SOFTHSM));
}

#[test]
fn kryoptic_keeps_the_city() {
    kryoptic::alone(|settings| {
        custody(settings, &KRYOPTIC);
        last_try(settings);
    });
}

/// A token that says that one more wrong PIN locks it is shown none, not even the right one, until a
/// person has logged in. SoftHSM counts no tries, so only this token shows it.
fn last_try(settings: &Settings) {
    let log_in = |pin: &str| {
        let mut command = Command::new("pkcs11-tool");
        command.arg("--module").arg(&settings.module).args(["--token-label", "city"]);
        let output = command.args(["--login", "--pin", pin, "--list-objects"]).output();
        output.unwrap().status.success()
    };
    let flags = || doctor::examine(settings, None).unwrap().pin;
    let open = || Token::open(settings, Softhsm::pin(), Role::City);
    // The control: with a wrong try or two behind it the token is opened, which clears them.
    let wrong = |number: u32| {
        let pin = Pin::new(&format!("31415{number}")).unwrap();
        Pool::open(settings, pin).unwrap_err()
    };
    assert!(matches!(wrong(0), PoolError::Pin { refusal: PinRefusal::Incorrect, .. }));
    open().unwrap();
    for number in 1.. {
        if flags().is_final_try {
            break;
        }
        assert!(number < 20 && !flags().is_locked);
        assert!(matches!(wrong(number), PoolError::Pin { refusal: PinRefusal::Incorrect, .. }));
    }
    for _ in 0..3 {
        let refused = open().unwrap_err().to_string();
        assert!(refused.contains("one more wrong PIN would lock it"), "{refused}");
    }
    assert!(flags().is_final_try && !flags().is_locked);
    assert!(log_in(Softhsm::PIN));
    open().unwrap();
}

/// The life of a city's keys on one token.
fn custody(settings: &Settings, kind: &Kind) {
    let open = || Token::open(settings, Softhsm::pin(), Role::City);
    let token = open().unwrap();
    let made = make(&token, kind);
    for key in &made {
        sign_and_verify(&token, key);
    }
    assert_eq!(token.refused().as_ref(), []);
    examine(settings, kind);
    assert!(matches!(open(), Err(TokenError::InUse { .. })));
    let key = &made[0];
    let point: [u8; 65] = key.public_key.as_bytes().try_into().unwrap();
    let certificate = samples::certificate(&samples::tbs("Root", "Key", &[], &point));
    wait(token.attach_certificate(&key.handle, &certificate)).unwrap();
    let held = token.keys();
    drop(token);
    let token = open().unwrap();
    assert_eq!(token.keys(), held);
    assert_eq!(token.keys()[0].certificate.as_deref(), Some(&certificate[..]));
    pace(&token, key, kind);
    let later = Instant::from_unix_seconds(1_790_000_100);
    for key in &made {
        let Key { handle, .. } = *key;
        wait(token.set_state(&handle, State::Retired, later)).unwrap();
        let refusal = SignError::NotActive { handle, state: State::Retired };
        assert_eq!(sign(&token, key).unwrap_err(), refusal);
        wait(token.destroy(&handle)).unwrap();
    }
    assert!(token.keys().is_empty());
}

/// Makes a key of every purpose, and refuses those for which the token lacks something.
fn make(token: &Token, kind: &Kind) -> Vec<Key> {
    let mut made = Vec::new();
    let online = Purpose::ALL.into_iter().filter(|purpose| *purpose != Purpose::CityRoot);
    for purpose in online {
        let request = NewKey::active(purpose, None, AT);
        let lack = kind.lacks.iter().find(|(lacking, _)| *lacking == purpose);
        match (wait(token.generate(request)), lack) {
            (Ok(key), None) => made.push(key),
            (Err(KeepError::MechanismMissing { mechanism, .. }), Some((_, lack))) => {
                assert_eq!(mechanism, *lack);
            }
            (answer, _) => panic!("{}: {purpose}: {answer:?}", kind.name),
        }
    }
    let second = NewKey { suite: Suite::Es384, ..NewKey::active(Purpose::Bundle, None, AT) };
    made.push(wait(token.generate(second)).unwrap());
    made
}

fn examine(settings: &Settings, kind: &Kind) {
    let report = doctor::examine(settings, Some(Softhsm::pin())).unwrap();
    assert_eq!(report.quirks.name, kind.name, "{:?}", report.identity);
    let inside = report.inside.unwrap();
    let lacks: Vec<_> = inside
        .purposes
        .iter()
        .filter_map(|holding| Some((holding.purpose, holding.missing?)))
        .collect();
    assert_eq!(lacks, kind.lacks);
    let cannot: Vec<_> = inside.deeds.iter().filter_map(|deed| deed.missing).collect();
    assert_eq!(cannot, kind.cannot, "{:#?}", inside.mechanisms);
}

fn pace(token: &Token, key: &Key, kind: &Kind) {
    const SIGNATURES: u32 = 500;
    let begin = Moment::now();
    for _ in 0..SIGNATURES {
        sign(token, key).unwrap();
    }
    let rate = f64::from(SIGNATURES) / begin.elapsed().as_secs_f64();
    println!("figure: signatures a second, one after another, {} = {rate:.0}", kind.name);
}

fn sign(token: &Token, key: &Key) -> Result<(Vec<u8>, Vec<u8>), SignError> {
    let wanted = key.purpose.object_type();
    let mut objects = samples::naming(key.suite).into_iter();
    let (_, bytes) = objects.find(|(object_type, _)| *object_type == wanted).unwrap();
    let object = TypedObject::parse(wanted, &bytes).unwrap();
    let signature = wait(token.sign(&key.handle, &object))?;
    Ok((bytes, signature.as_bytes().to_vec()))
}

fn sign_and_verify(token: &Token, key: &Key) {
    let (bytes, signature) = sign(token, key).unwrap();
    let public = key.public_key.as_bytes();
    let verified = match key.suite {
        Suite::Es256 => {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public).verify(&bytes, &signature)
        }
        Suite::Es384 => {
            UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, public).verify(&bytes, &signature)
        }
        Suite::Ed25519 => UnparsedPublicKey::new(&ED25519, public).verify(&bytes, &signature),
        Suite::Es256MlDsa44 => panic!("{}: no token holds this suite alone", key.purpose),
    };
    assert_eq!(verified, Ok(()), "{}", key.purpose);
}

fn wait<T>(pending: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(pending)
}
