//! `limen reader enrol` and `limen reader sync`: what a reader does while it has a network.

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};

use clap::Args;
use credential::aws_lc::AwsLc;
use credential::crypto::{Crypto, P256Secret};
use credential::delivery::Suite;
use credential::jose::base64url;
use credential::x509::{Certificate, CertificateError, pem};
use edge::reader_host::{Identity, ReaderHost};
use fleet::certificate::renewal_challenge;
use fleet::enrolment::EnrolmentCode;
use reader::snapshot::LISTS_MAX;
use serde::{Deserialize, Serialize};
use serde_json::json;
use ureq::http::Method;
use vocabulary::time::Instant;

use super::Place;
use super::standard::Standard;
use crate::client::{Client, Connection};
use crate::failure::{Failure, OrFail};
use crate::wallet::City;
use crate::{output, world};

/// Status lists that a reader follows.
const STATUS_LISTS_MAX: usize = LISTS_MAX;

#[derive(Args)]
pub(crate) struct Enrol {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    city: City,
    /// The one-time code from `limen reader invite`.
    #[arg(long)]
    code: String,
    /// Have its keys wrapped under ML-KEM-768 as well as P-256.
    #[arg(long)]
    post_quantum: bool,
}

#[derive(Args)]
pub(crate) struct Sync {
    #[command(flatten)]
    place: Place,
    /// Do not upload the journal.
    #[arg(long)]
    no_journal: bool,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

/// How a reader reaches its city, beside what it is.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Uplink {
    server: String,
    reader: String,
    secret: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca: Option<String>,
}

impl Enrol {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        if Identity::load(&self.place.folder).is_ok() {
            let folder = self.place.folder.display();
            return Err(Failure::usage(format!("`{folder}` holds a reader already"))
                .hint("name another folder; the code was not used"));
        }
        let connection = self.city.connection();
        let client = Client::new(connection.clone())?;
        let code = EnrolmentCode::parse(self.code.trim())
            .map_err(|_| Failure::usage("this is not the code of an invitation"))?;
        let (secret, public) = new_key()?;
        let proof = AwsLc.p256_sign(&secret, &code.challenge(&public)).or_fail("cannot enrol")?;
        let request = api::reader::EnrolRequest {
            code: code.danger_text(),
            public_key: base64url::encode(&public),
            proof: base64url::encode(proof.as_bytes()),
        };
        let enrolled: api::reader::Enrolled = client.post_json("/v1/readers/enrol", &request)?;
        let own = certificate(&enrolled.certificate)?;
        let standard = Standard {
            authority: enrolled.reader_authority.as_deref(),
            certificate: enrolled.standard_certificate.as_deref(),
        };
        let identity = Identity {
            reader: enrolled.reader.parse().or_fail("the server's answer is not understood")?,
            root: certificate(&enrolled.city_root)?,
            standard: standard.read(&own),
            certificate: own,
        };
        identity.store(&self.place.folder, &secret).or_fail("cannot keep the reader")?;
        let uplink = Uplink {
            server: connection.server.clone(),
            reader: enrolled.reader.clone(),
            secret: enrolled.secret,
            ca: connection.ca.as_ref().map(|path| path.display().to_string()),
        };
        let text = toml::to_string(&uplink).or_fail("cannot keep the reader")?;
        edge::file::replace(&self.place.folder.join("uplink.toml"), text.as_bytes())
            .or_fail("cannot keep the reader")?;
        self.make_element()?;
        output::text(&format!("enrolled as {}\n", enrolled.reader))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Enrol {
    /// Gives the reader what keeps its symmetric keys; `limen reader sync` tells the city.
    fn make_element(&self) -> Result<(), Failure> {
        let suite = if self.post_quantum { Suite::P256MlKem768 } else { Suite::P256 };
        let made = self.place.open()?.make_element(suite);
        made.or_fail("cannot make the secure element of the reader")
    }
}

/// Tells the city to which keys of the element it is to wrap, where the reader has one.
fn register(host: &Shared, client: &Client, uplink: &Uplink) -> Result<(), Failure> {
    let attempt = "cannot tell the city the delivery keys of the reader";
    let Some(statement) = held(host).delivery_keys().or_fail(attempt)? else { return Ok(()) };
    let request = api::reader::DeliveryKeys { statement: base64url::encode(&statement.encode()) };
    let path = format!("/v1/readers/{}/delivery-keys", uplink.reader);
    let kept: api::reader::DeliveryKeysKept = client.post_json(&path, &request)?;
    if kept.suite == statement.recipient.suite().as_str() {
        return Ok(());
    }
    Err(Failure::broken("the city keeps other delivery keys than the reader has"))
}

/// A reader that takes taps meanwhile: nobody holds it during a call over the network.
pub(super) type Shared = Mutex<ReaderHost>;

/// The reader, also after a thread that held it has panicked: what counts is on its disk.
pub(super) fn held(host: &Shared) -> MutexGuard<'_, ReaderHost> {
    host.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The way from a reader to its city.
struct Line {
    client: Client,
    uplink: Uplink,
}

impl Line {
    fn of(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("uplink.toml");
        let text =
            std::fs::read_to_string(&path).or_fail(format!("cannot read `{}`", path.display()))?;
        let uplink: Uplink =
            toml::from_str(&text).or_fail("the reader's uplink is not understood")?;
        let client = Client::new(Connection {
            server: uplink.server.clone(),
            token: Some(uplink.secret.clone()),
            ca: uplink.ca.as_ref().map(Into::into),
        })?;
        Ok(Self { client, uplink })
    }
}

/// What a reader and its city have told each other.
pub(super) struct Told {
    pub(super) records: u64,
    pub(super) has_renewed: bool,
}

/// Brings the journal of the reader of `folder` to the city, if asked to, takes what the city has for it,
/// and has its certificate made anew when it is time.
pub(super) fn exchange(host: &Shared, folder: &Path, journal: bool) -> Result<Told, Failure> {
    let line = Line::of(folder)?;
    let Line { client, uplink } = &line;
    // The journal goes first: what the reader did must arrive even if it can take nothing new.
    let accepted = if journal { upload(host, client, uplink) } else { Ok(0) };
    let taken = take_bundle(host, client, uplink).and_then(|()| take_status(host, client));
    // After the upload: the city judges heads of the journal by the newest certificate.
    let records = accepted?;
    taken?;
    Ok(Told { records, has_renewed: renew(host, folder, &line)? })
}

impl Sync {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let host = Mutex::new(self.place.open()?);
        let told = exchange(&host, &self.place.folder, !self.no_journal)?;
        let Told { records, has_renewed } = told;
        let epoch = held(&host).engine().watermark().bundle_epoch;
        if self.json {
            output::json(&json!({
                "bundle_epoch": epoch,
                "journal_records_accepted": records,
                "certificate_renewed": has_renewed,
            }))?;
        } else {
            output::text(&format!("bundle epoch {epoch}, {records} journal records uploaded\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Takes the bundle and the keys in it. Before the first one the city learns where to wrap them, and
/// again where a bundle comes without keys: it may have forgotten.
fn take_bundle(host: &Shared, client: &Client, uplink: &Uplink) -> Result<(), Failure> {
    let has_keys =
        held(host).engine().bundle().is_some_and(|bundle| !bundle.bundle().deliveries.is_empty());
    if !has_keys {
        register(host, client, uplink)?;
    }
    let path = format!("/v1/readers/{}/bundle", uplink.reader);
    let bundle = client.get_bytes(&path, "application/cbor")?;
    let mut host = held(host);
    host.install_bundle(world::now(), &bundle).or_fail("cannot take the bundle")?;
    // Doors work without: what is refused is told and no more.
    let taken = host.take_keys().or_fail("cannot take the keys of the bundle")?;
    for rejection in &taken.refused {
        eprintln!("limen: a key for this reader is refused: {rejection}");
    }
    Ok(())
}

fn take_status(host: &Shared, client: &Client) -> Result<(), Failure> {
    let lists: api::status::StatusLists = client.get_json("/v1/status-lists")?;
    let beyond = lists.status_lists.len().saturating_sub(STATUS_LISTS_MAX);
    let mut refused = None;
    for uri in lists.status_lists.iter().take(STATUS_LISTS_MAX) {
        let headers = [("accept", "application/statuslist+cwt")];
        let reply = client.send(Method::GET, uri, &headers, &[])?;
        if reply.status != 200 {
            let message = format!("cannot fetch status list `{uri}`: status {}", reply.status);
            return Err(Failure::broken(message));
        }
        let taken = held(host).install_status(world::now(), &reply.body);
        // One that is refused keeps no other away.
        if let Err(failure) = taken.or_fail(format!("cannot take the status list `{uri}`")) {
            refused = refused.or(Some(failure));
        }
    }
    if let Some(failure) = refused {
        return Err(failure);
    }
    if beyond == 0 {
        return Ok(());
    }
    Err(Failure::broken(format!("{beyond} status lists do not fit into this reader"))
        .hint(format!("it holds {STATUS_LISTS_MAX}; passes of the others are refused")))
}

/// Brings the journal to the city piece by piece; each piece makes room as soon as it is there.
fn upload(host: &Shared, client: &Client, uplink: &Uplink) -> Result<u64, Failure> {
    let mut accepted = 0;
    loop {
        let Some((before, sent, body)) = piece(&held(host))? else { return Ok(accepted) };
        let path = format!("/v1/readers/{}/journal", uplink.reader);
        let receipt: api::reader::JournalReceipt = client.post_json(&path, &body)?;
        // What was never sent is not let go of, whatever the city says.
        let next = receipt.next.min(sent);
        let mut host = held(host);
        host.acknowledged(world::now(), next).or_fail("cannot free the journal")?;
        accepted += receipt.accepted;
        if next < sent && host.records_pending() >= before {
            return Err(Failure::broken("the city takes the journal but does not say so"));
        }
    }
}

type Piece = (usize, u64, api::reader::JournalUpload);

/// How many records wait, the number after the next piece of them, and that piece.
fn piece(host: &ReaderHost) -> Result<Option<Piece>, Failure> {
    let pending = host.pending_upload(world::now()).or_fail("cannot sign the journal")?;
    Ok(pending.map(|piece| {
        let body = api::reader::JournalUpload {
            records: piece.records.iter().map(|record| base64url::encode(record)).collect(),
            signed_head: base64url::encode(&piece.signed_head),
        };
        (host.records_pending(), piece.next, body)
    }))
}

/// Has the certificate made anew, for the same key, once half of its life is over.
fn renew(host: &Shared, folder: &Path, line: &Line) -> Result<bool, Failure> {
    let attempt = "cannot renew the certificate of the reader";
    let identity = Identity::load(folder).or_fail(attempt)?;
    if !is_half_over(&identity.certificate, world::now()).or_fail(attempt)? {
        return Ok(false);
    }
    let key = edge::file::read(&folder.join("reader.key"), 32).or_fail(attempt)?;
    let key = key.and_then(|key| <[u8; 32]>::try_from(key).ok()).map(P256Secret::from_bytes);
    let key = key.ok_or_else(|| Failure::broken("the reader has lost its key"))?;
    let public = AwsLc.p256_public(&key).or_fail(attempt)?;
    let challenge = renewal_challenge(identity.reader, &identity.certificate, &public);
    let proof = AwsLc.p256_sign(&key, &challenge).or_fail(attempt)?;
    let request = api::reader::RenewRequest {
        public_key: base64url::encode(&public),
        proof: base64url::encode(proof.as_bytes()),
        previous_proof: None,
    };
    let path = format!("/v1/readers/{}/certificate", line.uplink.reader);
    let renewed: api::reader::Renewed = line.client.post_json(&path, &request)?;
    let own = certificate(&renewed.certificate)?;
    let standard = Standard {
        authority: renewed.reader_authority.as_deref(),
        certificate: renewed.standard_certificate.as_deref(),
    };
    let standard = standard.read(&own);
    held(host).renew_certificate(own, standard).or_fail(attempt).map(|()| true)
}

pub(super) fn is_half_over(certificate: &[u8], now: Instant) -> Result<bool, CertificateError> {
    let certificate = Certificate::parse(certificate)?;
    let life = certificate.not_after.duration_since(certificate.not_before);
    Ok(now.duration_since(certificate.not_before) > life / 2)
}

fn new_key() -> Result<(P256Secret, [u8; 65]), Failure> {
    let secret = P256Secret::from_bytes(world::entropy()?);
    let public = AwsLc.p256_public(&secret).or_fail("cannot make a key")?;
    Ok((secret, public))
}

pub(super) fn certificate(text: &str) -> Result<Vec<u8>, Failure> {
    let ders = pem::decode(text, pem::CERTIFICATE).or_fail("cannot read a certificate")?;
    let first = ders.into_iter().next();
    first.ok_or_else(|| Failure::broken("the server sent no certificate"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use credential::crypto::PublicKey;
    use credential::x509::build::{self, Purpose, Request, Signer, Subject};
    use std::time::Duration;

    #[test]
    fn a_certificate_is_renewed_in_the_second_half_of_its_life() {
        let start = Instant::from_unix_seconds(1_800_000_000);
        let at = |hours: u64| start.saturating_add(Duration::from_secs(hours * 3600));
        let (secret, public) = new_key().unwrap();
        let request = Request {
            purpose: Purpose::Root,
            subject: Subject { common_name: "Test", organization: None, country: "UT" },
            key: &PublicKey::P256(public),
            not_before: start,
            not_after: at(100),
            serial_entropy: [7; 16],
            issuer_uri: "https://city.example",
            crl_uri: "https://city.example/crl",
        };
        let unsigned = build::certificate(&request, Signer::Subject).unwrap();
        let signature = AwsLc.p256_sign(&secret, unsigned.to_be_signed()).unwrap();
        let der = unsigned.complete(&signature).into_bytes();
        for (hours, is_over) in [(0, false), (50, false), (51, true), (101, true)] {
            assert_eq!(is_half_over(&der, at(hours)).unwrap(), is_over, "{hours} hours");
        }
    }
}
