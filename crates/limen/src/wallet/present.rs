//! `limen wallet present`, and the attacks that a demonstration needs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use credential::aws_lc::AwsLc;
use credential::cbor::{Decoder, Encoder};
use credential::crypto::P256Secret;
use credential::mdoc::{IssuerSigned, MobileSecurityObject};
use credential::rights::NAME_SPACE;
use edge::link::Link;
use edge::vpcd;
use edge::wallet_card::{Surroundings, WalletCard};
use edge::wallet_host::WalletHost;
use presentation::profile::Profile;
use serde_json::json;
use wallet::choose::Proposal;
use wallet::pass::{Content, Document, Pass};
use wallet::secure_element::{Presence, PresenceRule, SecureElement};
use wallet::tap::{Consent, Shown, TapError};

use super::{Place, parse_address};
use crate::failure::{Failure, OrFail, chain};
use crate::{input, output, world};

/// The historical bytes by which a phone of Limen is known to PC/SC: no serial number, the same for all.
const HISTORICAL: &[u8] = b"Limen";

type Ended = Result<Shown, TapError>;

/// Where `vpcd` awaits the first card.
pub(crate) const VPCD: &str = "127.0.0.1:35963";

#[derive(Args)]
#[command(after_help = "Example:\n  \
    limen wallet present --reader 127.0.0.1:7000 --pass 'Staff badge'\n  \
    limen wallet present --vpcd --stay\n\n\
    Exit status: 0 shown, 3 nothing shown.")]
pub(crate) struct Present {
    #[command(flatten)]
    place: Place,
    /// The field of the reader, as `limen reader run` prints it.
    #[arg(long, value_parser = parse_address, value_name = "ADDRESS", required_unless_present = "vpcd")]
    reader: Option<SocketAddr>,
    /// Lie in a virtual reader of the PC/SC service, whose `vpcd` listens here. For trials only.
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_address, num_args = 0..=1,
          default_missing_value = VPCD, conflicts_with = "reader")]
    vpcd: Option<SocketAddr>,
    /// Stay in the virtual reader after a tap, until this process is ended.
    #[arg(long, requires = "vpcd", conflicts_with = "decline")]
    stay: bool,
    /// The pass to show, by its name; needed where several fit.
    #[arg(long, value_name = "NAME")]
    pass: Option<String>,
    /// Show nothing, whatever is asked.
    #[arg(long)]
    decline: bool,
    /// Confirm as the holder would with a finger, for passes that ask for it.
    #[arg(long)]
    confirm: bool,
    /// Keep what was shown: NAME.response.cbor and NAME.transcript.cbor.
    #[arg(long, value_name = "NAME")]
    keep: Option<PathBuf>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
    /// Answer a reader that proves nothing.
    #[arg(long, hide = true)]
    danger_trust_anyone: bool,
    /// Change this element to another text before it is shown, as hacked software would.
    #[arg(long, hide = true, value_name = "ELEMENT=TEXT")]
    danger_forge: Option<String>,
}

impl Present {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let mut host = self.place.open()?;
        let genuine = host.state.passes.clone();
        if let Some(forgery) = &self.danger_forge {
            forge(&mut host.state.passes, forgery)?;
        }
        let mut ambiguous = None;
        // Of an express tap nobody is asked: who declines it has it switched off.
        let passes = host.state.passes.len();
        let express: Vec<bool> = (0..passes).map(|it| host.state.express.is_on(it)).collect();
        if self.decline {
            host.state.express.switch(None, false);
        }
        let shown = match (self.vpcd, self.reader) {
            (Some(address), _) => self.lie_in(&mut host, address, &mut ambiguous)?,
            (None, Some(address)) => self.hold_to(&mut host, address, &mut ambiguous)?,
            (None, None) => return Err(Failure::usage("name the field of a reader: `--reader`")),
        };
        if self.danger_forge.is_some() {
            host.state.passes = genuine;
        }
        for (pass, is_on) in express.into_iter().enumerate().filter(|_| self.decline) {
            host.state.express.switch(Some(pass), is_on);
        }
        self.place.save(&host)?;
        self.tell(shown, ambiguous)
    }

    /// Holds the phone to the local link.
    fn hold_to(
        &self,
        host: &mut WalletHost,
        address: SocketAddr,
        ambiguous: &mut Option<String>,
    ) -> Result<Ended, Failure> {
        let secret = P256Secret::from_bytes(world::entropy()?);
        let tap = edge::wallet_host::tap(&AwsLc, world::now(), secret);
        #[allow(unused_mut, reason = "a measure is broken only on purpose")]
        let mut tap = tap.or_fail("cannot begin")?;
        if self.danger_trust_anyone {
            tap.danger_trust_anyone();
        }
        let mut link = Link::connect(address).or_fail("cannot reach the reader")?;
        let mut decide = |proposal: &Proposal| self.decide(proposal, ambiguous);
        host.present(&mut link, &AwsLc, tap, &world::now, &mut decide)
            .or_fail("cannot answer the reader")
    }

    /// Lays the phone into a virtual reader, until a tap has ended.
    fn lie_in(
        &self,
        host: &mut WalletHost,
        address: SocketAddr,
        ambiguous: &mut Option<String>,
    ) -> Result<Ended, Failure> {
        if self.danger_trust_anyone || (self.stay && self.danger_forge.is_some()) {
            return Err(Failure::usage("a virtual reader takes no sabotage"));
        }
        loop {
            let mut seen = None;
            let mut decide = |proposal: &Proposal| self.decide(proposal, &mut seen);
            let secret = || world::entropy().map(P256Secret::from_bytes).ok();
            let (crypto, clock, decide) = (&AwsLc, &world::now, &mut decide);
            let around = Surroundings { crypto, clock, secret: &secret, decide };
            let mut card = WalletCard::new(host, around);
            vpcd::stay(address, HISTORICAL, &mut card).map_err(|error| {
                let message = format!("cannot reach `vpcd` at {address}: {}", chain(&error));
                Failure::broken(message)
                    .hint("is `pcscd` running, with the package vsmartcard-vpcd?")
            })?;
            let ended = card.take();
            let ended = ended.ok_or_else(|| Failure::broken("the reader took the card away"))?;
            if !self.stay {
                *ambiguous = seen;
                return Ok(ended);
            }
            self.place.save(host)?;
            // Whatever it was, the next tap may go better.
            if let Err(failure) = self.tell(ended, seen) {
                failure.report();
            }
        }
    }

    fn tell(&self, shown: Ended, ambiguous: Option<String>) -> Result<ExitCode, Failure> {
        if let Some(names) = ambiguous {
            return Err(Failure::usage("several passes fit")
                .hint(format!("name one with `--pass`: {names}")));
        }
        let (code, answer, plain) = match shown {
            Ok(shown) => {
                self.keep(&shown)?;
                let elements = shown.elements.join(", ");
                let plain = match shown.profile {
                    Profile::Express | Profile::Fast => {
                        format!("{} tap at {}: {}\n", shown.profile, shown.reader, shown.pass)
                    }
                    Profile::Standard | Profile::Identity => {
                        format!("shown to {}: {} ({elements})\n", shown.reader, shown.pass)
                    }
                };
                let answer = json!({
                    "outcome": "shown", "reader": shown.reader, "pass": shown.pass,
                    "profile": shown.profile.as_str(), "elements": shown.elements,
                });
                (ExitCode::SUCCESS, answer, plain)
            }
            Err(error) => {
                let reason = chain(&error);
                let plain = format!("nothing shown: {reason}\n");
                let answer = json!({ "outcome": "nothing-shown", "reason": reason });
                (ExitCode::from(3), answer, plain)
            }
        };
        if self.json {
            output::json(&answer)?
        } else {
            output::text(&plain)?
        }
        Ok(code)
    }

    fn keep(&self, shown: &Shown) -> Result<(), Failure> {
        let Some(name) = &self.keep else { return Ok(()) };
        // Only what was shown in a session can be judged again.
        if shown.session_transcript.is_empty() {
            return Ok(());
        }
        let with = |ending: &str| {
            let mut path = name.clone().into_os_string();
            path.push(ending);
            PathBuf::from(path)
        };
        for (ending, bytes) in [
            (".response.cbor", &shown.device_response),
            (".transcript.cbor", &shown.session_transcript),
        ] {
            edge::file::replace(&with(ending), bytes).or_fail("cannot keep what was shown")?;
        }
        Ok(())
    }

    fn decide(&self, proposal: &Proposal, ambiguous: &mut Option<String>) -> Consent {
        let presence = if self.confirm { Presence::Confirmed } else { Presence::Unknown };
        let fits = |name: &str| self.pass.as_ref().is_none_or(|wanted| wanted == name);
        let fitting: Vec<(usize, &str)> = proposal
            .candidates
            .iter()
            .enumerate()
            .filter(|(_, candidate)| fits(&candidate.name))
            .map(|(position, candidate)| (position, candidate.name.as_str()))
            .collect();
        let Some((candidate, name)) = fitting.last().copied().filter(|_| !self.decline) else {
            return Consent::Decline;
        };
        // Of passes with one name the newest counts: it was collected in place of the others.
        if fitting.iter().all(|(_, other)| *other == name) {
            return Consent::Show { candidate, presence };
        }
        let names = fitting.iter().map(|(_, name)| format!("`{name}`"));
        *ambiguous = Some(names.collect::<Vec<_>>().join(", "));
        Consent::Decline
    }
}

/// Changes one element of every mdoc, leaving the issuer's digests as they are.
fn forge(passes: &mut [Pass], forgery: &str) -> Result<(), Failure> {
    let (element, text) = forgery
        .split_once('=')
        .ok_or_else(|| Failure::usage("a forgery is written ELEMENT=TEXT"))?;
    for document in passes.iter_mut().flat_map(|pass| &mut pass.documents) {
        if let Content::Mdoc(bytes) = &mut document.content {
            *bytes = forge_element(bytes, element, text).or_fail("cannot forge")?;
        }
    }
    Ok(())
}

fn forge_element(
    bytes: &[u8],
    element: &str,
    text: &str,
) -> Result<Vec<u8>, credential::rejection::Rejection> {
    let document = IssuerSigned::parse(bytes)?;
    let mut encoder = Encoder::new();
    encoder.map(2).text("nameSpaces").map(1).text(NAME_SPACE).array(document.items.len());
    for item in &document.items {
        if item.element != element {
            encoder.raw(item.raw);
            continue;
        }
        let mut forged = Encoder::new();
        forged.map(4).text("digestID").unsigned(item.digest_id);
        forged.text("random").bytes(item.random).text("elementIdentifier").text(element);
        forged.text("elementValue").text(text);
        encoder.embedded(forged.as_bytes());
    }
    encoder.text("issuerAuth").raw(document.issuer_auth);
    Ok(encoder.into_bytes())
}

/// `limen wallet danger-import`.
#[derive(Args)]
pub(crate) struct DangerImport {
    #[command(flatten)]
    place: Place,
    /// An IssuerSigned that belongs to somebody else.
    file: PathBuf,
}

impl DangerImport {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let mut host = self.place.open()?;
        let bytes = input::cbor(input::read(&self.file)?);
        let mso = signed_object(&bytes).or_fail("cannot import")?;
        let entropy = world::entropy()?;
        let key = host.element.generate(&AwsLc, entropy, PresenceRule::NotNeeded);
        let document = Document {
            key: key.or_fail("cannot import")?,
            kind: mso.0,
            valid_from: mso.1,
            valid_until: mso.2,
            shown: 0,
            content: Content::Mdoc(bytes),
        };
        host.state.passes.push(Pass {
            name: String::from("Somebody else's pass"),
            issuer: String::new(),
            configuration: String::new(),
            documents: vec![document],
        });
        self.place.save(&host)?;
        Ok(ExitCode::SUCCESS)
    }
}

type Signed = (String, vocabulary::time::Instant, vocabulary::time::Instant);

fn signed_object(bytes: &[u8]) -> Result<Signed, credential::rejection::Rejection> {
    Decoder::new(bytes)?;
    let document = IssuerSigned::parse(bytes)?;
    let message = credential::cose::Sign1::parse(document.issuer_auth)?;
    let mso = MobileSecurityObject::parse(message.payload.unwrap_or_default())?;
    Ok((mso.doc_type.into(), mso.valid_from, mso.valid_until))
}
