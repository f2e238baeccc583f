//! Verifications per second against those of other implementations, of the same document in the
//! same run, while checking what they omit.
//!
//! Crate `isomdl` 0.2.0 leaves out digests and validity (see the slow tests), and so does its time.
//! npm `@owf/mdoc` and `@auth0/mdl` run in node, whose own processor time is told by the process;
//! `@owf/mdoc` takes no licence of 29 elements from a signer without a state or province.
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

use conformance::peer::{Implementation, Peer};
use credential::crypto::P256Secret;
use credential::x509::pem;
use isomdl::definitions::device_request::{DataElements, Namespaces};
use isomdl::definitions::x509::trust_anchor::{PemTrustAnchor, TrustAnchorRegistry, TrustPurpose};
use isomdl::presentation::authentication::AuthenticationStatus;
use isomdl::presentation::reader::SessionManager;
use presentation::engagement;
use presentation::session::Channel;
use presentation::session::message::SessionEstablishment;
use serde_json::json;

use credential::aws_lc::AwsLc;
use credential::crypto::Crypto as _;
use support::city::{City, hex};
use support::door::Gate;
use support::licence::{NAME_SPACE, Order, Presentation, SIX, elements};
use support::measure::{Bench, Pair, time};
use support::{ROUND, cpu};

/// Sessions of ours, and states of a reader of isomdl, that are set up beforehand.
const SESSIONS: usize = 12_000;
const READERS: usize = 5_000;
/// Verifications of ours, and of a peer in node, in one round.
const OURS_IN_ROUND: u32 = 30;
const THEIRS_IN_ROUND: u32 = 4;
/// Until the compiler of node has seen enough.
const WARM_UP: u32 = 300;

fn main() {
    let city = City::new();
    let gate = Gate::new(&city);
    let licence = Order::of(elements()).issue(&city);
    let all = elements();
    let all: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    let with_isomdl = |names| against_isomdl(&city, &gate, &licence, names);
    Bench::rate("vs_isomdl", with_isomdl(&SIX), 1.0, 4.0).report();
    Bench::rate("vs_isomdl_portrait", with_isomdl(&all), 1.0, 7.0).report();

    let six = Presentation::new(&city, &licence, &SIX);
    let with_node = |peer| against_node(&city, &gate, &six, peer);
    Bench::rate("vs_owf_mdoc", with_node(Implementation::OwfMdoc), 1.0, 30.0).report();
    Bench::rate("vs_auth0_mdl", with_node(Implementation::Auth0Mdl), 1.0, 40.0).report();
}

/// Both read the answer to isomdl's own request, each in a session that is set up already.
fn against_isomdl(city: &City, gate: &Gate, licence: &[u8], names: &[&str]) -> Pair {
    let secret = P256Secret::from_bytes([0x55; 32]);
    let engagement = engagement::build(&AwsLc.p256_public(&secret).unwrap(), &[]);
    let certificate_pem = pem::encode(pem::CERTIFICATE, &city.authority);
    let trust = PemTrustAnchor { certificate_pem, purpose: TrustPurpose::Iaca };
    let registry = TrustAnchorRegistry::from_pem_certificates(vec![trust]).unwrap();
    let asked = Namespaces::new(NAME_SPACE.into(), DataElements::new(names[0].into(), false));
    let uri = engagement::to_uri(&engagement);
    let (reader, establishment, _) =
        SessionManager::establish_session(uri, asked, registry).unwrap();
    let establishment = SessionEstablishment::parse(&establishment).unwrap();
    let reader_key = (establishment.reader_key_bytes, establishment.reader_key);
    let presentation =
        Presentation::in_session(city, licence, names, (&engagement, secret), reader_key);

    let mut readers = vec![reader; READERS];
    let mut channels = presentation.channels(SESSIONS);
    let theirs = || {
        let outcome = readers.pop().expect("enough readers").handle_response(&presentation.message);
        let valid = AuthenticationStatus::Valid;
        assert!(outcome.issuer_authentication == valid && outcome.device_authentication == valid);
        assert_eq!(
            outcome.response[NAME_SPACE].as_object().map(|all| all.len()),
            Some(names.len())
        );
    };
    Pair::measure(cpu, ROUND, || judge(gate, &presentation, &mut channels), theirs)
}

fn judge(gate: &Gate, presentation: &Presentation, channels: &mut Vec<Channel>) {
    gate.judge(presentation, channels.pop().expect("enough sessions"), None);
}

fn against_node(
    city: &City,
    gate: &Gate,
    presentation: &Presentation,
    implementation: Implementation,
) -> Pair {
    let mut peer = Peer::start(implementation).unwrap();
    let mut verify = |repeat: u32| {
        let job = json!({
            "job": "verify_response", "document": hex(&presentation.response), "repeat": repeat,
            "transcript": hex(presentation.transcript.as_bytes()), "trust": [hex(&city.authority)],
        });
        let answer = peer.ask(&job).unwrap();
        assert_eq!(answer["valid"], true, "{answer}");
        answer["cpu_ns"].as_f64().unwrap()
    };
    verify(WARM_UP);
    let mut channels = presentation.channels(SESSIONS);
    let mut ours = || judge(gate, presentation, &mut channels);
    Pair::of_rounds(|| time(cpu, OURS_IN_ROUND, &mut ours), || verify(THEIRS_IN_ROUND))
}
