//! Verifications per second against those of other implementations, of the same document in the
//! same run, while checking what they omit.
//!
//! Each side works as it does in service: a verifier of Limen remembers that the chain of a document
//! signer was verified, the others do not. What becomes of the ratio without that memory is told
//! beside the figure.
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
use credential::x509::{SignerCache, pem};
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
    let with_isomdl = |names, memory| against_isomdl(&city, &gate, &licence, names, memory);
    let six = |memory| with_isomdl(&SIX, memory);
    report("vs_isomdl", 4.0, six);
    report("vs_isomdl_portrait", 7.0, |memory| with_isomdl(&all, memory));

    let shown = Presentation::new(&city, &licence, &SIX);
    let with_node = |peer, memory| against_node(&city, &gate, &shown, peer, memory);
    report("vs_owf_mdoc", 30.0, |memory| with_node(Implementation::OwfMdoc, memory));
    report("vs_auth0_mdl", 40.0, |memory| with_node(Implementation::Auth0Mdl, memory));
}

/// Whether our verifier remembers the chain of the document signer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    Kept,
    None,
}

fn report(name: &'static str, goal: f64, measure: impl Fn(Memory) -> Pair) {
    Bench::rate(name, measure(Memory::Kept), 1.0, goal).report();
    eprintln!("{name} with a cold chain: {:.3}", 1.0 / measure(Memory::None).ratio);
}

/// Our side: a gate with sessions that are set up already.
struct Ours<'a> {
    gate: &'a Gate,
    presentation: &'a Presentation,
    channels: Vec<Channel>,
    cache: Option<SignerCache>,
}

impl<'a> Ours<'a> {
    fn new(gate: &'a Gate, presentation: &'a Presentation, memory: Memory) -> Self {
        let cache = (memory == Memory::Kept).then(SignerCache::new);
        Self { gate, presentation, channels: presentation.channels(SESSIONS), cache }
    }

    fn judge(&mut self) {
        let channel = self.channels.pop().expect("enough sessions");
        self.gate.judge(self.presentation, channel, self.cache.as_mut());
    }
}

/// Both read the answer to isomdl's own request, each in a session that is set up already.
fn against_isomdl(
    city: &City,
    gate: &Gate,
    licence: &[u8],
    names: &[&str],
    memory: Memory,
) -> Pair {
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
    let mut ours = Ours::new(gate, &presentation, memory);
    let theirs = || {
        let outcome = readers.pop().expect("enough readers").handle_response(&presentation.message);
        let valid = AuthenticationStatus::Valid;
        assert!(outcome.issuer_authentication == valid && outcome.device_authentication == valid);
        assert_eq!(
            outcome.response[NAME_SPACE].as_object().map(|all| all.len()),
            Some(names.len())
        );
    };
    Pair::measure(cpu, ROUND, || ours.judge(), theirs)
}

fn against_node(
    city: &City,
    gate: &Gate,
    presentation: &Presentation,
    implementation: Implementation,
    memory: Memory,
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
    let mut ours = Ours::new(gate, presentation, memory);
    Pair::of_rounds(|| time(cpu, OURS_IN_ROUND, &mut || ours.judge()), || verify(THEIRS_IN_ROUND))
}
