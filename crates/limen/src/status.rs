//! `limen status`: Token Status Lists, fetched from a server and read offline from files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::credential::aws_lc::AwsLc;
use ::credential::cbor::{Decoder, Kind};
use ::credential::cose::Sign1;
use ::credential::jose::{Jws, base64url};
use ::credential::rejection::{Culprit, Rejection};
use ::credential::status::{Bits, CWT_TYP, Expectation, Status, StatusList, VerifiedStatusList};
use api::status::StatusLists;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use ureq::http::Method;
use vocabulary::time::Instant;

use crate::call::Call;
use crate::client;
use crate::credential::trust;
use crate::failure::{Failure, OrFail};
use crate::input::{self, Encoded};
use crate::tree::Tree;
use crate::{output, world};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the status lists of a city, or download one.
    Fetch(Fetch),
    /// Show what is inside a status list. Nothing is verified.
    Inspect(Inspect),
    /// Look up one entry: exit status 0 when it is valid, 3 when it is not or the list is rejected.
    Check(Check),
}

#[derive(Args)]
#[command(after_help = "Examples:\n  limen status fetch\n  \
    limen status fetch https://city.example/v1/status-lists/tram/1 --out list.cwt")]
pub(crate) struct Fetch {
    /// The address of one list; without it the addresses of all are shown.
    #[arg(requires = "out")]
    url: Option<String>,
    /// Where to put it.
    #[arg(long, value_name = "FILE", requires = "url")]
    out: Option<PathBuf>,
    #[command(flatten)]
    call: Call,
}

#[derive(Args)]
#[command(after_help = "Example:\n  limen status inspect list.cwt --json")]
pub(crate) struct Inspect {
    /// A Status List Token, CWT or JWT; raw, hexadecimal or base64url; `-` for standard input.
    file: PathBuf,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[command(after_help = "Examples:\n  limen status check list.cwt 41\n  \
    limen status check list.cwt 41 --trust status-signers/ --at 2027-03-01T08:00:00Z\n\n\
    Without --trust the signature and the dates of the list stay unchecked.")]
pub(crate) struct Check {
    /// A Status List Token, CWT or JWT; raw, hexadecimal or base64url; `-` for standard input.
    file: PathBuf,
    /// The index of the entry, as the credential names it.
    index: u64,
    /// Whom to trust with status lists: PEM files, folders of them, or public JWKs.
    #[arg(long, value_name = "PATH")]
    trust: Vec<PathBuf>,
    /// The instant of judgement, RFC 3339; now where absent.
    #[arg(long, value_name = "RFC3339", value_parser = Instant::parse_rfc3339, requires = "trust")]
    at: Option<Instant>,
    /// The address of the list, as the credential names it.
    #[arg(long, value_name = "URI", requires = "trust")]
    uri: Option<String>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Fetch(fetch) => fetch.run(),
            Self::Inspect(inspect) => inspect.run(),
            Self::Check(check) => check.run(),
        }
    }
}

impl Fetch {
    fn run(self) -> Result<ExitCode, Failure> {
        let client = self.call.client()?;
        let (Some(url), Some(out)) = (&self.url, &self.out) else {
            let lists: StatusLists = client.get_json("/v1/status-lists")?;
            if self.call.json {
                return self.call.value(&lists);
            }
            let lines = lists.status_lists.iter().map(|uri| output::printable(uri) + "\n");
            let lines: String = lines.collect();
            let none = "There are no status lists yet: the first document makes one.\n";
            output::text(if lines.is_empty() { none } else { &lines })?;
            return Ok(ExitCode::SUCCESS);
        };
        let answer = client.send(Method::GET, url, &[("accept", CWT_TYP)], &[])?;
        if !answer.is_success() {
            return Err(client::refused(url, &answer));
        }
        std::fs::write(out, &answer.body).or_fail(format!("cannot write `{}`", out.display()))?;
        if self.call.json {
            let file = out.display().to_string();
            return self.call.value(&json!({ "file": file, "bytes": answer.body.len() }));
        }
        output::text(&format!("{} bytes are in {}.\n", answer.body.len(), out.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Inspect {
    fn run(self) -> Result<ExitCode, Failure> {
        let encoded = input::recognise(input::read(&self.file)?);
        let tree = Token::read(&encoded).and_then(|token| token.describe());
        let tree = tree.map_err(|rejection| unreadable(&self.file, &rejection))?;
        if self.json {
            output::json(&tree.to_json())?;
        } else {
            output::text(&tree.to_text())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Check {
    fn run(self) -> Result<ExitCode, Failure> {
        let encoded = input::recognise(input::read(&self.file)?);
        let looked_up = if self.trust.is_empty() {
            let token = Token::read(&encoded);
            let token = token.map_err(|rejection| unreadable(&self.file, &rejection))?;
            token.list().map(|list| (list, "unchecked"))
        } else {
            let anchors = trust::load(&self.trust)?;
            let at = self.at.unwrap_or_else(world::now);
            let expectation = Expectation { anchors: &anchors, at, uri: self.uri.as_deref() };
            let verified = match &encoded {
                Encoded::Text(text) => VerifiedStatusList::verify_jwt(&AwsLc, text, &expectation),
                Encoded::Cbor(bytes) => VerifiedStatusList::verify_cwt(&AwsLc, bytes, &expectation),
            };
            verified.map(|verified| (verified.list().clone(), "valid"))
        };
        self.answer(looked_up)
    }

    fn answer(
        &self,
        looked_up: Result<(StatusList, &str), Rejection>,
    ) -> Result<ExitCode, Failure> {
        let (value, text, code) = match looked_up {
            Err(rejection) => {
                let message = output::printable(&rejection.to_string());
                let value = json!({
                    "index": self.index, "status": Value::Null, "signature": "rejected",
                    "code": rejection.code, "message": rejection.message,
                });
                (value, format!("rejected: {message}\n"), ExitCode::from(3))
            }
            Ok((list, signature)) => {
                let status = list.status(self.index).map_err(|_| {
                    Failure::usage(format!("the list has no entry `{}`", self.index))
                        .hint(format!("its entries are 0 to {}", list.entries().saturating_sub(1)))
                })?;
                let value = json!({
                    "index": self.index, "status": status.to_string(), "signature": signature,
                });
                let text = format!("entry {}: {status} (signature {signature})\n", self.index);
                let code = if status == Status::Valid { 0 } else { 3 };
                (value, text, ExitCode::from(code))
            }
        };
        if self.json {
            output::json(&value)?;
        } else {
            output::text(&text)?;
        }
        Ok(code)
    }
}

fn unreadable(path: &Path, rejection: &Rejection) -> Failure {
    let reason = output::printable(&rejection.to_string());
    Failure::usage(format!("cannot read `{}` as a status list: {reason}", path.display()))
}

/// What a token says, before anybody believes it.
#[derive(Default)]
struct Token {
    format: &'static str,
    algorithm: String,
    uri: Option<String>,
    issued_at: Option<i64>,
    expires_at: Option<i64>,
    ttl: Option<i64>,
    bits: Option<u64>,
    compressed: Option<Vec<u8>>,
}

impl Token {
    fn read(encoded: &Encoded) -> Result<Self, Rejection> {
        match encoded {
            Encoded::Text(text) => Self::read_jwt(text),
            Encoded::Cbor(bytes) => Self::read_cwt(bytes),
        }
    }

    fn read_jwt(text: &str) -> Result<Self, Rejection> {
        let jws = Jws::parse(text, Culprit::Issuer)?;
        let claims = jws.claims()?;
        let claims = claims.members();
        let list = claims.get("status_list");
        let member = |name| list.and_then(|list: &Value| list.get(name));
        Ok(Self {
            format: "JWT",
            algorithm: jws.header.algorithm.to_string(),
            uri: claims.get("sub").and_then(Value::as_str).map(Into::into),
            issued_at: claims.get("iat").and_then(Value::as_i64),
            expires_at: claims.get("exp").and_then(Value::as_i64),
            ttl: claims.get("ttl").and_then(Value::as_i64),
            bits: member("bits").and_then(Value::as_u64),
            compressed: member("lst").and_then(Value::as_str).and_then(base64url::decode),
        })
    }

    /// Claims 2 (sub), 4 (exp), 6 (iat), 65533 (status_list) and 65534 (ttl) under COSE_Sign1.
    fn read_cwt(bytes: &[u8]) -> Result<Self, Rejection> {
        let sign1 = Sign1::parse(bytes)?;
        let algorithm = sign1.algorithm(Culprit::Issuer)?.to_string();
        let mut token = Self { format: "CWT", algorithm, ..Self::default() };
        let mut decoder = Decoder::new(sign1.payload.unwrap_or_default())?;
        let mut claims = decoder.map()?;
        while decoder.more(&mut claims)? {
            if decoder.kind() == Kind::Text {
                decoder.skip()?;
                decoder.skip()?;
                continue;
            }
            match decoder.integer()? {
                2 => token.uri = Some(decoder.text()?.into()),
                4 => token.expires_at = Some(decoder.integer()?),
                6 => token.issued_at = Some(decoder.integer()?),
                65_534 => token.ttl = Some(decoder.integer()?),
                65_533 => {
                    let mut members = decoder.map()?;
                    while decoder.more(&mut members)? {
                        match decoder.text()? {
                            "bits" => token.bits = Some(decoder.unsigned()?),
                            "lst" => token.compressed = Some(decoder.bytes()?.to_vec()),
                            _ => decoder.skip()?,
                        }
                    }
                }
                _ => decoder.skip()?,
            }
        }
        Ok(token)
    }

    fn list(&self) -> Result<StatusList, Rejection> {
        let refuse = |message: &str| Rejection::issuer("status-list-form", message.to_owned());
        let bits = self.bits.and_then(Bits::from_count);
        let bits = bits.ok_or_else(|| refuse("no `bits` of 1, 2, 4 or 8"))?;
        let compressed = self.compressed.as_ref().ok_or_else(|| refuse("no `lst`"))?;
        StatusList::inflate(bits, compressed).map_err(|error| refuse(&error.to_string()))
    }

    fn describe(&self) -> Result<Tree, Rejection> {
        let list = self.list()?;
        let date = |seconds: Option<i64>| {
            seconds.map(|seconds| Instant::from_unix_seconds(seconds).to_string())
        };
        let mut tree = Tree::new();
        tree.leaf("format", format!("status list, {}", self.format));
        tree.leaf("algorithm", self.algorithm.clone());
        tree.leaf("uri", self.uri.clone());
        tree.leaf("issued at", date(self.issued_at));
        tree.leaf("expires at", date(self.expires_at));
        tree.leaf("ttl seconds", self.ttl);
        tree.leaf("bits", list.bits().count());
        tree.leaf("entries", list.entries());
        let mut counts = [0_u64; 256];
        for index in 0..list.entries() {
            let Ok(status) = list.status(index) else { continue };
            if let Some(count) = counts.get_mut(usize::from(status.value())) {
                *count += 1;
            }
        }
        let mut found = Tree::new();
        for (value, count) in (0..=u8::MAX).zip(counts).filter(|(_, count)| *count > 0) {
            found.leaf(Status::from_value(value).to_string(), count);
        }
        tree.branch("statuses", found);
        Ok(tree)
    }
}
