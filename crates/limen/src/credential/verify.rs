//! `limen credential verify`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use credential::aws_lc::AwsLc;
use credential::cbor::{Decoder, Lengths};
use credential::crypto::P256Secret;
use credential::mdoc::{self, Session, VerifiedDocument};
use credential::rejection::Rejection;
use credential::sd_jwt::{self, CREDENTIAL_TYP, KeyBindingRule, Presence, SdJwt, Window};
use credential::x509::TrustAnchors;
use serde_json::{Map, Value, json};
use vocabulary::time::Instant;

use super::{access, json as as_json, trust};
use crate::failure::Failure;
use crate::input::{self, Encoded};
use crate::{output, world};

/// So far may the date of a holder's proof lie from `--at` where a nonce shows that it is fresh.
const UNLIMITED: Duration = Duration::from_secs(100 * 366 * 86_400);

#[derive(Args)]
#[command(after_help = "Examples:\n  \
    limen credential verify pass.cbor --trust issuer.pem\n  \
    limen credential verify response.cbor --trust anchors/ --session-transcript transcript.cbor --json\n  \
    limen credential verify pass.sd-jwt --trust issuer.jwk --audience https://shop.example \\\n      \
    --nonce 8x2 --require-key-binding")]
pub(crate) struct Verify {
    /// An IssuerSigned, also of an access document, a DeviceResponse or a compact SD-JWT; raw,
    /// hexadecimal or base64url; `-` for standard input.
    file: PathBuf,
    /// Whom to trust: a PEM file with one or many certificates, a folder of them, or a public JWK. For an
    /// access document these are document signers, for all else authorities.
    #[arg(long, required = true, value_name = "PATH")]
    trust: Vec<PathBuf>,
    /// The instant of judgement, RFC 3339; now where absent.
    #[arg(long, value_name = "RFC3339", value_parser = parse_instant)]
    at: Option<Instant>,
    /// The only document type (mdoc) or `vct` (SD-JWT VC) to accept.
    #[arg(long, value_name = "TYPE")]
    doc_type: Option<String>,
    /// The SessionTranscript of the presentation, bare or in tag 24. Without it the holder of an
    /// mdoc stays unchecked.
    #[arg(long, value_name = "FILE")]
    session_transcript: Option<PathBuf>,
    /// The reader's ephemeral private key (32 bytes; raw, hexadecimal or base64url), with which a
    /// device MAC is checked. A device signature needs none.
    #[arg(long, value_name = "FILE", requires = "session_transcript")]
    reader_key: Option<PathBuf>,
    /// The audience that the holder's proof must name (SD-JWT).
    #[arg(long)]
    audience: Option<String>,
    /// The nonce that the holder's proof must hold (SD-JWT); with it the proof may be of any date.
    #[arg(long)]
    nonce: Option<String>,
    /// Reject an SD-JWT without a proof of possession.
    #[arg(long)]
    require_key_binding: bool,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

/// What was found when every check held.
pub(super) struct Valid {
    pub(super) claims: Value,
    pub(super) holder: &'static str,
    pub(super) status: Vec<Value>,
}

impl Verify {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let anchors = trust::load(&self.trust)?;
        let transcript = self.session_transcript.as_deref().map(input::read).transpose()?;
        let transcript = transcript.map(input::cbor);
        let reader_key = self.reader_key.as_deref().map(read_key).transpose()?;
        let at = self.at.unwrap_or_else(world::now);
        let (format, verdict) = match input::recognise(input::read(&self.file)?) {
            Encoded::Text(text) => {
                if transcript.is_some() {
                    let message = "--session-transcript is for mdoc, and the file holds text";
                    return Err(Failure::usage(message));
                }
                ("dc+sd-jwt", self.sd_jwt(&text, &anchors, at))
            }
            Encoded::Cbor(bytes) if access::is_access_document(&bytes) => {
                if transcript.is_some() || self.doc_type.is_some() {
                    let message =
                        "--session-transcript and --doc-type are not for access documents";
                    return Err(Failure::usage(message));
                }
                (access::FORMAT, access::verify(&bytes, &anchors, at))
            }
            Encoded::Cbor(bytes) => {
                let proof = (transcript.as_deref(), reader_key.as_ref());
                ("mso_mdoc", self.mdoc(&bytes, &anchors, at, proof))
            }
        };
        self.answer(format, verdict)
    }

    fn mdoc(
        &self,
        bytes: &[u8],
        anchors: &TrustAnchors,
        at: Instant,
        (transcript, reader_key): (Option<&[u8]>, Option<&P256Secret>),
    ) -> Result<Valid, Rejection> {
        let session =
            transcript.map(|transcript| Session { transcript, reader_secret: reader_key });
        let doc_type = self.doc_type.as_deref();
        let expectation = mdoc::Expectation { crypto: &AwsLc, anchors, at, doc_type, session };
        if is_issuer_signed(bytes)? {
            return mdoc::verify_issuer_signed(bytes, &expectation, None)
                .map(|document| valid(&[document]));
        }
        mdoc::verify_response(bytes, &expectation, None).map(|response| valid(response.documents()))
    }

    fn sd_jwt(&self, text: &str, anchors: &TrustAnchors, at: Instant) -> Result<Valid, Rejection> {
        let is_credential = SdJwt::parse(text)?.jws.require_typ(CREDENTIAL_TYP).is_ok();
        let profile = if is_credential || self.doc_type.is_some() {
            sd_jwt::Profile::Credential { vct: self.doc_type.as_deref() }
        } else {
            sd_jwt::Profile::SdJwt
        };
        let mut window = Window { age_max: UNLIMITED, ..Window::default() };
        if self.nonce.is_some() {
            window.skew_max = UNLIMITED;
        }
        let presence =
            if self.require_key_binding { Presence::Required } else { Presence::Optional };
        let key_binding = KeyBindingRule {
            presence,
            audience: self.audience.as_deref(),
            nonce: self.nonce.as_deref(),
            window,
        };
        let expectation = sd_jwt::Expectation { anchors, at, profile, key_binding };
        let verified = sd_jwt::verify(&AwsLc, text, &expectation)?;
        let status = verified.status().map(|s| json!({ "uri": s.uri, "index": s.index }));
        Ok(Valid {
            claims: Value::Object(verified.claims().clone()),
            holder: if verified.key_binding().is_some() { "signature" } else { "unchecked" },
            status: status.into_iter().collect(),
        })
    }

    fn answer(&self, format: &str, verdict: Result<Valid, Rejection>) -> Result<ExitCode, Failure> {
        let (code, answer, plain) = match verdict {
            Ok(valid) => {
                let plain =
                    format!("valid ({format}), holder {}\n{:#}\n", valid.holder, valid.claims);
                let answer = json!({
                    "verdict": "valid", "format": format, "code": "valid", "culprit": null,
                    "message": "every check held", "holder": valid.holder,
                    "status": valid.status, "claims": valid.claims,
                });
                (ExitCode::SUCCESS, answer, plain)
            }
            Err(rejection) => {
                let Rejection { culprit, code, message } = rejection;
                let plain =
                    format!("rejected ({format}): {message}\nculprit: {culprit}, code: {code}\n");
                let answer = json!({
                    "verdict": "rejected", "format": format, "code": code,
                    "culprit": culprit.as_str(), "message": message, "claims": {},
                });
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
}

/// The claims of documents: `{docType: {nameSpace: {element: value}}}`.
fn valid(documents: &[VerifiedDocument<'_>]) -> Valid {
    let mut claims = Map::new();
    for document in documents {
        let mut name = document.doc_type().to_owned();
        // A second document of one type must not hide the first.
        while claims.contains_key(&name) {
            name.push('+');
        }
        claims.insert(name, as_json::elements(document.elements()));
    }
    let statuses = documents.iter().filter_map(VerifiedDocument::status);
    Valid {
        claims: Value::Object(claims),
        holder: documents.first().map_or("unchecked", |document| document.holder().as_str()),
        status: statuses.map(|s| json!({ "uri": s.uri, "index": s.index })).collect(),
    }
}

/// Whether the bytes are an IssuerSigned rather than a DeviceResponse: it has `issuerAuth`.
pub(super) fn is_issuer_signed(bytes: &[u8]) -> Result<bool, Rejection> {
    let mut decoder = Decoder::with_lengths(bytes, Lengths::OpenContainers)?;
    let mut entries = decoder.map()?;
    let mut found = false;
    while decoder.more(&mut entries)? {
        found |= decoder.text()? == "issuerAuth";
        decoder.skip()?;
    }
    Ok(found)
}

fn read_key(path: &Path) -> Result<P256Secret, Failure> {
    let bytes = input::cbor(input::read(path)?);
    let key = <[u8; 32]>::try_from(bytes);
    let wrong = |_| Failure::usage(format!("`{}` does not hold a key of 32 bytes", path.display()));
    key.map(P256Secret::from_bytes).map_err(wrong)
}

fn parse_instant(text: &str) -> Result<Instant, String> {
    Instant::parse_rfc3339(text).map_err(|error| error.to_string())
}
