//! A reader without a city: what somebody could hold to a pocket. For demonstrations only.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use credential::aws_lc::AwsLc;
use credential::crypto::{Algorithm, Crypto, P256Secret, PublicKey};
use credential::mdoc::{ItemsRequest, RequestedNameSpace, device_request, doc_request};
use credential::rights::{DOC_TYPE, NAME_SPACE};
use credential::x509::Certificate;
use credential::x509::build::{self, Purpose, Request, Signer, Subject};
use edge::link::{Field, Link};
use presentation::apdu::LinkLimits;
use presentation::verifier::{Input, Output, Verifier};
use serde_json::json;
use vocabulary::time::Instant;

use crate::failure::{Failure, OrFail};
use crate::{output, world};

const LIFE: Duration = Duration::from_secs(3600);

/// `limen reader danger-rogue`.
#[derive(Args)]
pub(crate) struct Rogue {}

impl Rogue {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let field = Field::open(0).or_fail("cannot open the field")?;
        let address = field.address().or_fail("cannot open the field")?;
        let listening = json!({ "event": "listening", "reader": address.to_string() });
        output::text(&format!("{listening}\n"))?;
        let mut link = field.accept().or_fail("cannot wait for phones")?;
        let harvested = harvest(&mut link)?;
        let tap = json!({
            "event": "tap",
            "outcome": if harvested.is_some() { "granted" } else { "refused" },
            "bytes_harvested": harvested.map_or(0, |bytes| bytes.len()),
        });
        output::text(&format!("{tap}\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Asks the phone for its pass in the name of a reader authority that nobody knows.
fn harvest(link: &mut Link) -> Result<Option<Vec<u8>>, Failure> {
    let attempt = "the rogue reader failed";
    let ephemeral = P256Secret::from_bytes(world::entropy()?);
    let mut verifier =
        Verifier::new(&AwsLc, world::now(), ephemeral, LinkLimits::EXTENDED).or_fail(attempt)?;
    let mut harvested = None;
    while let Some(output) = verifier.poll_output() {
        match output {
            Output::Command(command) => {
                let answered = link.send(&command).and_then(|()| link.receive());
                let input = match &answered {
                    Ok(response) => Input::Response(response),
                    Err(_) => Input::LinkLost,
                };
                verifier.handle(&AwsLc, world::now(), input);
            }
            Output::NeedRequest { session_transcript } => {
                let request = request(&session_transcript)?;
                verifier.handle(&AwsLc, world::now(), Input::Request(&request));
            }
            Output::Response { device_response, .. } => harvested = Some(device_response),
            Output::Closed(_) => {}
        }
    }
    Ok(harvested)
}

fn request(transcript: &[u8]) -> Result<Vec<u8>, Failure> {
    let attempt = "the rogue reader failed";
    let key = P256Secret::from_bytes(world::entropy()?);
    let certificate = self_made(&key, world::now())?;
    let elements = [("operator", true), ("product", true), ("zones", true), ("places", true)];
    let name_spaces = [RequestedNameSpace { name: NAME_SPACE, elements: &elements }];
    let items = ItemsRequest { doc_type: DOC_TYPE, name_spaces: &name_spaces };
    let chain: [&[u8]; 1] = [&certificate];
    let unsigned = doc_request(&items, transcript, Algorithm::Es256, &chain).or_fail(attempt)?;
    let signature = AwsLc.p256_sign(&key, unsigned.to_be_signed()).or_fail(attempt)?;
    Ok(device_request(&[unsigned.complete(&signature)]))
}

/// A certificate that looks like that of a reader but that no city has signed.
fn self_made(key: &P256Secret, now: Instant) -> Result<Vec<u8>, Failure> {
    let attempt = "the rogue reader failed";
    let root = certificate(Purpose::Root, key, key, None, now)?;
    let root = Certificate::parse(&root).or_fail(attempt)?;
    let authority_key = P256Secret::from_bytes(world::entropy()?);
    let authority = certificate(Purpose::Authority, &authority_key, key, Some(&root), now)?;
    let authority = Certificate::parse(&authority).or_fail(attempt)?;
    certificate(Purpose::Reader, key, &authority_key, Some(&authority), now)
}

fn certificate(
    purpose: Purpose,
    subject: &P256Secret,
    signer: &P256Secret,
    authority: Option<&Certificate<'_>>,
    now: Instant,
) -> Result<Vec<u8>, Failure> {
    let attempt = "the rogue reader failed";
    let key = PublicKey::P256(AwsLc.p256_public(subject).or_fail(attempt)?);
    let request = Request {
        purpose,
        subject: Subject { common_name: "Gate 3", organization: None, country: "UT" },
        key: &key,
        not_before: now.floor_to_second(),
        not_after: now.saturating_add(LIFE).floor_to_second(),
        serial_entropy: world::entropy()?,
        issuer_uri: "https://rogue.example",
        crl_uri: "https://rogue.example/crl",
    };
    let signed_by = authority.map_or(Signer::Subject, Signer::Authority);
    let unsigned = build::certificate(&request, signed_by).or_fail(attempt)?;
    let signature = AwsLc.p256_sign(signer, unsigned.to_be_signed()).or_fail(attempt)?;
    Ok(unsigned.complete(&signature).into_bytes())
}
