//! `limen card accept` and `limen card refresh`: a card gets its pass and its handles from the city. The
//! card holds the keys; the desk carries what is signed and what is sealed, and learns neither.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use credential::access_document;
use credential::aws_lc::AwsLc;
use credential::crypto::PublicKey;
use credential::delivery::Scope;
use credential::rights::Rights;
use credential::x509::Certificate;
use keys::vault::applications::{Desk, HELD_KEY, Held as Standing, Identifier, Place};
use serde_json::json;
use vocabulary::time::Instant;
use wallet::collect::{Collection, Hands, Wish};
use wallet::pass::{Content, Document, Pass};
use wallet::secure_element::{DeviceKey, PresenceRule};
use wallet::state::State;
use wallet::trust::Trust;

use super::element::CardElement;
use super::field::Held;
use super::place::Owner;
use super::{Service, handles};
use crate::city::runtime;
use crate::client::{Client, Connection};
use crate::failure::{Failure, OrFail};
use crate::wallet::{self as desk_wallet, accept as collecting};
use crate::{output, world};

/// Reader authorities to which a card shows its pass.
const AUTHORITIES_MAX: usize = card::AUTHORITIES_MAX;

#[derive(Args)]
#[command(
    after_help = "Example:\n  limen wallet init --folder desk --server https://city.example\n  \
    limen card accept 'openid-credential-offer://?credential_offer_uri=...' --code 493536 \\\n    \
    --card rider.card --owner metro/a --folder desk \\\n    \
    --service run/keys.sock --pairing personaliser.pairing\n\n\
    The card draws the keys of the pass and signs for them; they never leave it. The desk has a wallet,\n\
    which knows whom the city trusts; it keeps nothing of the card."
)]
pub(crate) struct Accept {
    /// The offer: an `openid-credential-offer://` link, from a QR picture or a mail.
    link: String,
    /// The code that came over another channel, if the offer asks for one.
    #[arg(long)]
    code: Option<String>,
    /// The file of the card.
    #[arg(long, value_name = "FILE", required_unless_present = "pcsc")]
    card: Option<PathBuf>,
    /// The card in this reader of the system, or in the only one that has a card.
    #[arg(long, value_name = "READER", num_args = 0..=1, default_missing_value = "",
          conflicts_with = "card")]
    pcsc: Option<String>,
    /// Seconds to wait for a city that cannot sign at present, once the offer is used up.
    #[arg(long, default_value_t = 60, value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(..=540))]
    wait: u64,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  limen card refresh rider.card --owner metro/a --folder desk \\\n    \
    --service run/keys.sock --pairing personaliser.pairing\n\n\
    Fetches handles for today and tomorrow where the card has few left."
)]
pub(crate) struct Refresh {
    /// The file of the card.
    #[arg(value_name = "FILE", required_unless_present = "pcsc")]
    card: Option<PathBuf>,
    /// The card in this reader of the system, or in the only one that has a card.
    #[arg(long, value_name = "READER", num_args = 0..=1, default_missing_value = "",
          conflicts_with = "card")]
    pcsc: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Common {
    /// Whose application the pass is for: OPERATOR or OPERATOR/ZONE.
    #[arg(long, value_name = "OWNER")]
    owner: Owner,
    #[command(flatten)]
    service: Service,
    #[command(flatten)]
    wallet: desk_wallet::Place,
    /// A PEM file of the only roots to trust for TLS.
    #[arg(long, env = "LIMEN_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

/// A card at the desk, which has been authenticated.
struct At {
    held: Held,
    place: Place,
    trust: Trust,
    client: Client,
}

impl Accept {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let Self { common, .. } = &self;
        let mut at = common.at(self.card.as_deref(), self.pcsc.as_deref())?;
        let offer = collecting::offer(&at.client, &self.link, self.code.as_deref())?;
        let collection = Collection::new(
            offer,
            self.code.clone(),
            Wish { documents: 1, presence: PresenceRule::NotNeeded },
        );
        let wait = Duration::from_secs(self.wait);
        let (names, left) = runtime()?.block_on(async {
            let vault = common.service.vault().await?;
            let mut desk = Desk { vault: &vault, link: &mut at.held };
            let (identifier, standing) = look(&mut desk, &at.place).await?;
            let session = desk.session(&at.place, &identifier).await;
            let mut element = CardElement::new(session.or_fail(ATTEMPT)?);
            let mut state = State { trust: at.trust.clone(), ..State::default() };
            let kept =
                collect(&at.client, collection, &mut element, &mut state, (&common.owner, wait));
            let (names, rights) = told(&element, kept)?;
            keep_handle_document(&mut state);
            let scope = &common.owner.0;
            // Those that are there may be of another pass.
            let loaded = handles::fetch(&at.client, &mut element, &state, scope, &[]);
            told(&element, loaded)?;
            drop(element);
            begin_count(&mut desk, &at.place, &identifier, &standing, &rights).await?;
            let standing = desk.held(&at.place, &identifier).await.or_fail(ATTEMPT)?;
            Ok::<_, Failure>((names, handles::left(&standing)))
        })?;
        if common.json {
            output::json(&json!({ "accepted": names, "handles": left }))?;
        } else {
            let names = names.join(", ");
            let names = names.escape_debug();
            output::text(&format!("accepted: {names}; {left} handles on the card\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Refresh {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let Self { common, .. } = &self;
        let mut at = common.at(self.card.as_deref(), self.pcsc.as_deref())?;
        let left = runtime()?.block_on(async {
            let vault = common.service.vault().await?;
            let mut desk = Desk { vault: &vault, link: &mut at.held };
            let (identifier, standing) = look(&mut desk, &at.place).await?;
            let pass = desk.pass(&at.place, &identifier).await.or_fail(ATTEMPT)?;
            let pass = pass.ok_or_else(|| {
                Failure::broken(format!("the card has no pass of `{}`", common.owner))
                    .hint("give it one with `limen card accept`")
            })?;
            let state = known(&at.trust, &pass)?;
            let session = desk.session(&at.place, &identifier).await;
            let mut element = CardElement::new(session.or_fail(ATTEMPT)?);
            let scope = &common.owner.0;
            let loaded = handles::fetch(&at.client, &mut element, &state, scope, &standing.batches);
            told(&element, loaded)?;
            drop(element);
            let standing = desk.held(&at.place, &identifier).await.or_fail(ATTEMPT)?;
            Ok::<_, Failure>(handles::left(&standing))
        })?;
        if common.json {
            output::json(&json!({ "handles": left }))?;
        } else {
            output::text(&format!("{left} handles on the card\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

const ATTEMPT: &str = "cannot serve the card";

impl Common {
    fn at(&self, card: Option<&std::path::Path>, reader: Option<&str>) -> Result<At, Failure> {
        let trust = desk_wallet::trust::of_desk(&self.wallet, self.ca.clone())?;
        let server = trust.parts().city.clone();
        let client = Client::new(Connection { server, token: None, ca: self.ca.clone() })?;
        let held = Held::take(card, reader)?;
        Ok(At { held, place: self.owner.place(), trust, client })
    }
}

/// The identifier of the card, and what its application holds.
async fn look(desk: &mut Desk<'_>, place: &Place) -> Result<(Identifier, Standing), Failure> {
    desk.select().or_fail(ATTEMPT)?;
    let identifier = desk.identifier(place).await.or_fail(ATTEMPT)?;
    let standing = desk.held(place, &identifier).await.or_fail(ATTEMPT)?;
    Ok((identifier, standing))
}

/// What went wrong, in the words of the card where it was the card.
fn told<T>(element: &CardElement<'_>, done: Result<T, Failure>) -> Result<T, Failure> {
    done.or_else(|failure| match element.fault() {
        Some(fault) => Err(fault).or_fail(ATTEMPT),
        None => Err(failure),
    })
}

/// Collects what was offered, and has the card keep it; the names of the passes, and their rights.
fn collect(
    client: &Client,
    mut collection: Collection,
    element: &mut CardElement<'_>,
    state: &mut State,
    (owner, wait): (&Owner, Duration),
) -> Result<(Vec<String>, Rights), Failure> {
    let crypto = &AwsLc;
    let mut no_entropy = None;
    let mut entropy = || {
        world::entropy::<32>().unwrap_or_else(|failure| {
            no_entropy = Some(failure);
            [0; 32]
        })
    };
    let mut hands = Hands { crypto, element, entropy: &mut entropy, now: world::now() };
    let kept = collecting::converse(client, &mut collection, &mut hands, wait).and_then(|()| {
        let names = collection.keep(&mut hands, state).or_fail("cannot accept the offer")?;
        Ok((names, blob(state, owner, world::now())?))
    });
    if collection.is_collected() {
        // That the issuer does not hear of it changes nothing for the holder.
        let _ = collecting::converse(client, &mut collection, &mut hands, Duration::ZERO);
    }
    if let Some(failure) = no_entropy {
        return Err(failure);
    }
    let (names, (pass, rights)) = kept?;
    element.session().keep_pass(&pass).or_fail(ATTEMPT)?;
    Ok((names, rights))
}

/// The pass as a card takes it (`specs/card.md`, "Pass"), and its rights.
fn blob(state: &State, owner: &Owner, now: Instant) -> Result<(Vec<u8>, Rights), Failure> {
    let documents = || state.passes.iter().flat_map(|pass| &pass.documents);
    let lacks = |what: &str| {
        let text = format!("the offer has no {what}, without which a card cannot tap");
        Failure::broken(text).hint("ask for an offer of a city pass in all its formats")
    };
    let access = documents().find_map(|document| match &document.content {
        Content::AccessDocument(bytes) => Some((document.key, bytes)),
        _ => None,
    });
    let (access_key, access) = access.ok_or_else(|| lacks("access document"))?;
    let mdoc = documents().find_map(|document| match &document.content {
        Content::Mdoc(bytes) => Some((document.key, bytes)),
        _ => None,
    });
    let (mdoc_key, mdoc) = mdoc.ok_or_else(|| lacks("mdoc"))?;
    let rights = access_document::pass::danger_unverified_rights(access);
    let rights = rights.or_fail("cannot read the pass")?;
    check(&rights, owner)?;
    let authorities = state.trust.parts().readers.iter().filter_map(|der| {
        let authority = Certificate::parse(der).ok().filter(|it| it.is_current(now))?;
        match authority.public_key {
            PublicKey::P256(key) => Some(key),
            _ => None,
        }
    });
    let authorities: Vec<[u8; 65]> = authorities.take(AUTHORITIES_MAX).collect();
    let number = |key: DeviceKey| u8::try_from(key.0).or_fail("cannot name the key of the pass");
    let numbers =
        [number(access_key)?, number(mdoc_key)?, u8::try_from(authorities.len()).unwrap_or(0)];
    let length = u16::try_from(access.len()).or_fail("the pass is too long for a card")?;
    let pass = [
        &now.unix_seconds().to_be_bytes()[..],
        &numbers,
        authorities.as_flattened(),
        &length.to_be_bytes(),
        access,
        mdoc,
    ];
    let pass = pass.concat();
    if pass.len() > card::PASS_BYTES_MAX {
        let text = format!("the pass has {} bytes, more than a card holds", pass.len());
        return Err(Failure::broken(text));
    }
    Ok((pass, rights))
}

/// Whether a card may hold a pass with these rights in the application of `owner`.
fn check(rights: &Rights, owner: &Owner) -> Result<(), Failure> {
    if rights.holder_only {
        let text = "the pass is for its holder alone, and a card cannot ask who holds it";
        return Err(Failure::broken(text).hint("such a pass needs a phone"));
    }
    let Scope { operator, zone } = &owner.0;
    if rights.operator != *operator || zone.as_ref().is_some_and(|zone| !rights.cover_zone(zone)) {
        let text = format!("the pass is of `{}`, and not good for `{owner}`", rights.operator);
        return Err(Failure::broken(text).hint("give the application of its owner to `--owner`"));
    }
    Ok(())
}

/// The mdoc is now bound to the key that the card holds.
fn keep_handle_document(state: &mut State) {
    for pass in &mut state.passes {
        pass.documents.retain(|document| matches!(document.content, Content::Mdoc(_)));
        for document in &mut pass.documents {
            document.key = DeviceKey(HELD_KEY.into());
        }
    }
    state.passes.retain(|pass| !pass.documents.is_empty());
}

/// What the desk knows of a pass that the card gave it to read, after it was verified.
fn known(trust: &Trust, pass: &[u8]) -> Result<State, Failure> {
    let damaged = || Failure::broken("the card's pass cannot be read");
    let count = pass.get(10).copied().map(usize::from).ok_or_else(damaged)?;
    let rest = pass.get(11 + count * 65..).ok_or_else(damaged)?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(damaged)?;
    let mdoc = rest.get(usize::from(u16::from_be_bytes(*length))..).ok_or_else(damaged)?;
    let now = world::now();
    let anchors = trust.issuer_anchors();
    let hint = |failure: Failure| failure.hint("give the card a new one with `limen card accept`");
    let attempt = "the card's pass does not hold any more";
    let expectation = credential::mdoc::Expectation {
        crypto: &AwsLc,
        anchors,
        at: now,
        doc_type: None,
        session: None,
    };
    let verified = credential::mdoc::verify_issuer_signed(mdoc, &expectation, None);
    let verified = verified.or_fail(attempt).map_err(hint)?;
    let device_key = verified.mobile_security_object().device_key.clone();
    let key = (DeviceKey(HELD_KEY.into()), device_key);
    let content = Content::Mdoc(mdoc.to_vec());
    let document = Document::accept(&AwsLc, content, &[key], anchors, now);
    let document = document.or_fail(attempt).map_err(hint)?;
    let held = Pass {
        name: String::new(),
        issuer: String::new(),
        configuration: String::new(),
        documents: vec![document],
    };
    Ok(State { trust: trust.clone(), passes: vec![held], ..State::default() })
}

/// A pass of so many uses begins with them, where the card has counted nothing yet.
async fn begin_count(
    desk: &mut Desk<'_>,
    place: &Place,
    identifier: &Identifier,
    standing: &Standing,
    rights: &Rights,
) -> Result<(), Failure> {
    match (rights.uses_max, standing.counted) {
        (Some(uses), Some((0, ..))) => {
            desk.set_value(place, identifier, uses).await.or_fail(ATTEMPT)
        }
        _ => Ok(()),
    }
}
