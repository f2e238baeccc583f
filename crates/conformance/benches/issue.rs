//! What issuing a document costs above its signature and its digests, with a key in software.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    unreachable_pub,
    missing_docs,
    reason = "a benchmark may panic, and uses a part of what all share"
)]

mod support;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use credential::aws_lc::AwsLc;
use credential::cose::Sign1;
use credential::crypto::{Algorithm, Signature};
use credential::mdoc::{self, IssuerSigned};

use support::bare::sha256;
use support::city::City;
use support::licence::{Order, elements};
use support::measure::{Bench, Pair};
use support::{ROUND, cpu};

fn main() {
    let city = City::new();
    let order = Order::of(elements());
    let key = EcdsaKeyPair::from_private_key_and_public_key(
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        city.signer.secret.danger_bytes(),
        city.signer.public().as_bytes(),
    )
    .unwrap();
    let random = SystemRandom::new();
    let chain: [&[u8]; 1] = [&city.signer_certificate];

    let licence = order.issue(&city);
    let document = IssuerSigned::parse(&licence).unwrap();
    let payload = Sign1::parse(document.issuer_auth).unwrap().payload.unwrap();
    order.with(&city, |request| {
        // The key is where the keystore has it: parsed once, signing many documents.
        let job = || {
            let unsigned = mdoc::issue(&AwsLc, request, &chain, &order.entropy).unwrap();
            let signature = key.sign(&random, unsigned.to_be_signed()).unwrap();
            let signature = Signature::new(Algorithm::Es256, signature.as_ref()).unwrap();
            std::hint::black_box(unsigned.complete(&signature));
        };
        let baseline = || {
            document.items.iter().for_each(|item| sha256(item.raw));
            std::hint::black_box(key.sign(&random, payload).unwrap());
        };
        let pair = Pair::measure(cpu, ROUND, job, baseline);
        Bench::cost("issue_mdoc", pair, 1.30).report();
    });
}
