//! `limen wallet accept`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use credential::aws_lc::AwsLc;
use edge::wallet_host::WalletHost;
use serde_json::json;
use ureq::http::Method;
use wallet::collect::{Answer, CollectError, Collection, Hands, Request, Step, Wish};
use wallet::offer::{self, Link, Offer};
use wallet::secure_element::PresenceRule;

use super::{Place, express, trust};
use crate::client::{self, Client, Connection};
use crate::failure::{Failure, OrFail};
use crate::{output, world};

/// Requests of one conversation; a kind of pass takes three.
const STEPS_MAX: usize = 64;
/// How long to wait before a city that could not sign is asked again.
const PAUSE: Duration = Duration::from_secs(2);

#[derive(Args)]
#[command(after_help = "Example:\n  \
    limen wallet accept 'openid-credential-offer://?credential_offer_uri=...' --code 493536")]
pub(crate) struct Accept {
    #[command(flatten)]
    place: Place,
    /// The offer: an `openid-credential-offer://` link, from a QR picture or a mail.
    link: String,
    /// The code that came over another channel, if the offer asks for one.
    #[arg(long)]
    code: Option<String>,
    /// Documents of each kind to collect, so that shows cannot be linked.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    documents: u8,
    /// Every use of these passes needs the holder to confirm.
    #[arg(long)]
    confirm_each_use: bool,
    /// Seconds to wait for a city that cannot sign at present, once the offer is used up.
    #[arg(long, default_value_t = 60, value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(..=540))]
    wait: u64,
    /// A PEM file of the only roots to trust for TLS.
    #[arg(long, env = "LIMEN_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Accept {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let mut host = self.place.open()?;
        self.hear_of_the_city(&mut host)?;
        // Every URL of the conversation comes from the offer and from the issuer's metadata.
        let here = String::from("http://127.0.0.1");
        let client = Client::new(Connection { server: here, token: None, ca: self.ca.clone() })?;
        let offer = offer(&client, &self.link, self.code.as_deref())?;
        let presence =
            if self.confirm_each_use { PresenceRule::Needed } else { PresenceRule::NotNeeded };
        let wish = Wish { documents: usize::from(self.documents), presence };
        let issuer = offer.issuer.clone();
        let mut collection = Collection::new(offer, self.code.clone(), wish);
        let mut no_entropy = None;
        let mut entropy = || {
            world::entropy::<32>().unwrap_or_else(|failure| {
                no_entropy = Some(failure);
                [0; 32]
            })
        };
        let crypto = &AwsLc;
        let mut hands =
            Hands { crypto, element: &mut host.element, entropy: &mut entropy, now: world::now() };
        let wait = Duration::from_secs(self.wait);
        let kept = converse(&client, &mut collection, &mut hands, wait).and_then(|()| {
            let names = collection.keep(&mut hands, &mut host.state);
            names.or_fail("cannot accept the offer")
        });
        if kept.is_ok() {
            self.place.save(&host)?;
        }
        let mut hands =
            Hands { crypto, element: &mut host.element, entropy: &mut entropy, now: world::now() };
        if collection.is_collected() {
            // That the issuer does not hear of it changes nothing for the holder.
            let _ = converse(&client, &mut collection, &mut hands, Duration::ZERO);
        }
        collection.end(&mut host.element);
        if let Some(failure) = no_entropy {
            return Err(failure);
        }
        let names = kept?;
        self.place.save(&host)?;
        let handles = express::fetch(&self.place, &mut host, self.ca)?;
        if self.json {
            let told = json!({ "accepted": names, "issuer": issuer, "express_handles": handles });
            output::json(&told)?;
        } else {
            output::text(&format!("accepted: {}\n", names.join(", ").escape_debug()))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Brings the trust up to date while there is a network. A city that is away now, or that the wallet
    /// does not know, keeps nobody from a pass; one that tells what does not follow does.
    fn hear_of_the_city(&self, host: &mut WalletHost) -> Result<(), Failure> {
        match trust::fetch(host, self.ca.clone()) {
            Ok(told) => trust::follow(host, &told)?,
            Err(_) => return Ok(()),
        }
        self.place.save(host)
    }
}

/// The offer behind a link; with the code, where it asks for one.
pub(crate) fn offer(client: &Client, link: &str, code: Option<&str>) -> Result<Offer, Failure> {
    let offer = match offer::parse_link(link).map_err(|error| Failure::usage(error.to_string()))? {
        Link::Value(offer) => offer,
        Link::Reference(url) => {
            let reply = client.send(Method::GET, &url, &[("accept", "application/json")], &[])?;
            if reply.status != 200 {
                let message = format!("the offer cannot be fetched: status {}", reply.status);
                return Err(Failure::broken(message)
                    .hint("it may be used up, or have expired: ask for a new one"));
            }
            offer::parse(&reply.body).or_fail("the server's offer cannot be read")?
        }
    };
    if offer.needs_transaction_code && code.is_none() {
        return Err(Failure::usage("this offer asks for a code")
            .hint("it came over another channel; give it with `--code`"));
    }
    Ok(offer)
}

/// Talks to the issuer until everything is here. Where the city cannot sign at present, its access token is
/// shown again for as long as `wait` lasts: a new collection would need a new offer.
pub(crate) fn converse(
    client: &Client,
    collection: &mut Collection,
    hands: &mut Hands<'_>,
    wait: Duration,
) -> Result<(), Failure> {
    let attempt = "cannot accept the offer";
    let mut waited = Duration::ZERO;
    let mut steps = 0;
    while steps < STEPS_MAX {
        hands.now = world::now();
        let step = collection.poll(hands).or_fail(attempt)?;
        let Step::Send(request) = step else { return Ok(()) };
        let reply = send(client, &request)?;
        let dpop_nonce = reply.header("dpop-nonce");
        let answer = Answer { status: reply.status, dpop_nonce, body: &reply.body };
        match collection.receive(answer) {
            Err(CollectError::Away { .. }) if collection.has_token() && waited < wait => {
                if waited.is_zero() {
                    eprintln!("limen: the city cannot sign at present; waiting for it");
                }
                std::thread::sleep(PAUSE);
                waited += PAUSE;
            }
            Err(error @ CollectError::Away { .. }) => {
                let hint = if collection.has_token() {
                    "the offer is used up: ask for a new one"
                } else {
                    "try again in a while: the offer is as good as before"
                };
                return Err(error).or_fail(attempt).map_err(|failure: Failure| failure.hint(hint));
            }
            received => {
                received.or_fail(attempt)?;
                steps += 1;
            }
        }
    }
    Err(Failure::broken("the issuer does not come to an end"))
}

fn send(client: &Client, request: &Request) -> Result<client::Answer, Failure> {
    let headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let method = if request.method == "POST" { Method::POST } else { Method::GET };
    client.send(method, &request.url, &headers, &request.body)
}
