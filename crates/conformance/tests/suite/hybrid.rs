//! Our composite signatures, half by half, by libraries that are not ours.

use conformance::peer::{Implementation, Peer};
use credential::aws_lc::{AwsLc, MlDsa44Key};
use credential::composite::{self, CompositeKey};
use credential::crypto::{Crypto as _, PublicKey};
use serde_json::json;

use crate::city::{Key, hex};

#[test]
fn both_halves_of_a_composite_signature_verify_abroad() {
    let (es256, ml_dsa) = (Key::new(9), MlDsa44Key::from_seed(&[9; 32]));
    let PublicKey::P256(point) = es256.public() else { panic!("a key on P-256") };
    let key = PublicKey::from(CompositeKey::new(ml_dsa.public(), &point));
    let message = b"what a bundle says";
    let inner = composite::message(&AwsLc.sha256(message));
    let half = ml_dsa.sign(&inner, composite::LABEL, [7; 32]).unwrap();
    let other_half = AwsLc.p256_sign(&es256.secret, &inner).unwrap();
    let signature = composite::join(&half, &other_half).unwrap();
    let signature = signature.as_bytes();
    AwsLc.verify(&key, message, signature).unwrap();

    let mut peer = Peer::start(Implementation::NobleHybrid).unwrap();
    let mut check =
        |message: &[u8], signature: &[u8], context: Option<&[u8]>, expected: [bool; 2]| {
            let mut job = json!({
                "job": "verify_halves", "key": hex(key.as_bytes()), "message": hex(message),
                "signature": hex(signature),
            });
            if let Some(context) = context {
                job["context"] = json!(hex(context));
            }
            let answer = peer.ask(&job).unwrap();
            let verdict = ["ml_dsa", "es256"].map(|half| answer[half].as_bool().unwrap());
            assert_eq!(verdict, expected, "{answer}");
        };
    check(message, signature, None, [true, true]);
    // Each half is bound to the message, and that of ML-DSA to the label as its context.
    check(b"what a bundle does not say", signature, None, [false, false]);
    check(message, signature, Some(b""), [false, true]);
    let mut changed = signature.to_vec();
    changed[100] ^= 1;
    check(message, &changed, None, [false, true]);
}
