//! `limen pass`: one right of one person, from issue to revocation.

use std::process::ExitCode;

use api::pass::{Finding, FoundTap, NewPass, Offer, Pass, PassDeed};
use clap::{Args, Subcommand};
use serde_json::json;
use vocabulary::code::ProductCode;
use vocabulary::id::{PassId, PersonId};
use vocabulary::time::Instant;

use crate::call::Call;
use crate::client::Client;
use crate::failure::Failure;
use crate::table::{Part, Shown, columns};
use crate::tree::Tree;
use crate::{output, picture};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Issue a pass to a person.
    Issue(Issue),
    /// Offer a pass to the holder's wallet, as a link and as a QR picture.
    Offer(MakeOffer),
    /// Show a pass.
    #[command(after_help = "Example:\n  limen pass show pass_01kapzzzzz0000000000000000")]
    Show(Show),
    /// List passes.
    #[command(after_help = "Examples:\n  limen pass list --limit 20\n  \
        limen pass list --all --json | jq '.items[] | select(.state == \"suspended\")'")]
    List(List),
    /// List the taps that should not have been: forged, copied and cloned.
    #[command(
        after_help = "Gates are offline when they open. When their journals come in, the city holds the \
        express taps in\nthem against the handles that it gave out:\n  \
        forged  the city never gave out this handle: a gate's keys of that zone and day are in other hands\n  \
        copied  one handle was used twice: two devices have it, and both taps are named\n  \
        cloned  two devices have the handles of one, as their counts of taps show\n\n\
        Example:\n  limen pass findings --all --json | jq '.items[].found.pass'"
    )]
    Findings(List),
    /// Suspend a pass; it can be resumed.
    #[command(after_help = "Example:\n  \
        limen pass suspend pass_01kapzzzzz0000000000000000 --reason 'phone lost'")]
    Suspend(Deed),
    /// Resume a suspended pass.
    #[command(after_help = "Example:\n  \
        limen pass resume pass_01kapzzzzz0000000000000000 --reason 'phone found'")]
    Resume(Deed),
    /// Revoke a pass for good.
    #[command(after_help = "Example:\n  \
        limen pass revoke pass_01kapzzzzz0000000000000000 --reason 'left the company'")]
    Revoke(Deed),
}

#[derive(Args)]
#[command(after_help = "Examples:\n  \
    limen pass issue --person person_01kapzzzzz0000000000000000 --product staff-badge\n  \
    limen pass issue --person person_01kapzzzzz0000000000000000 --product first-class-month \\\n      \
    --from 2027-03-01T00:00:00Z --until 2027-04-01T00:00:00Z --offer")]
pub(crate) struct Issue {
    /// Who will hold it.
    #[arg(long, value_name = "ID")]
    person: PersonId,
    /// The product of which it is.
    #[arg(long, value_name = "CODE")]
    product: ProductCode,
    /// From when it holds; from now where absent.
    #[arg(long, value_name = "RFC3339", value_parser = Instant::parse_rfc3339)]
    from: Option<Instant>,
    /// Until when it holds; as long as the product allows where absent.
    #[arg(long, value_name = "RFC3339", value_parser = Instant::parse_rfc3339)]
    until: Option<Instant>,
    /// Offer it to a wallet at once.
    #[arg(long)]
    offer: bool,
    #[command(flatten)]
    call: Call,
}

#[derive(Args)]
#[command(after_help = "Examples:\n  \
    limen pass offer pass_01kapzzzzz0000000000000000\n  \
    limen pass offer pass_01kapzzzzz0000000000000000 --json | jq -r .uri")]
pub(crate) struct MakeOffer {
    /// The pass's identifier.
    id: PassId,
    /// Leave the QR picture out.
    #[arg(long)]
    no_picture: bool,
    #[command(flatten)]
    call: Call,
}

#[derive(Args)]
pub(crate) struct Show {
    /// The pass's identifier.
    id: PassId,
    #[command(flatten)]
    call: Call,
}

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    part: Part,
    #[command(flatten)]
    call: Call,
}

#[derive(Args)]
pub(crate) struct Deed {
    /// The pass's identifier.
    id: PassId,
    /// Why, in your words; it stays with you.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    call: Call,
}

impl Command {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Issue(issue) => issue.run(),
            Self::Offer(MakeOffer { id, no_picture, call }) => {
                let offer = offer(&call.client()?, &id.to_string())?;
                if call.json {
                    return call.value(&offer);
                }
                output::text(&describe(&offer, !no_picture)?)?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Show(Show { id, call }) => {
                let found: Pass = call.client()?.get_json(&format!("/v1/passes/{id}"))?;
                let is_flagged = found.findings.is_some_and(|findings| findings > 0);
                let next = ["limen pass findings".into(), format!("limen pass suspend {id}")];
                call.show(&found, if is_flagged { &next } else { &[] })
            }
            Self::List(List { part, call }) => part.list::<Pass>(&call, "/v1/passes"),
            Self::Findings(List { part, call }) => part.list::<Finding>(&call, "/v1/findings"),
            Self::Suspend(deed) => deed.run("suspend"),
            Self::Resume(deed) => deed.run("resume"),
            Self::Revoke(deed) => deed.run("revoke"),
        }
    }
}

impl Issue {
    fn run(self) -> Result<ExitCode, Failure> {
        let new = NewPass {
            person: self.person.to_string(),
            product: self.product.to_string(),
            valid_from: self.from.map(|at| at.to_string()),
            valid_until: self.until.map(|at| at.to_string()),
        };
        let client = self.call.client()?;
        let made: Pass = client.post_json("/v1/passes", &new)?;
        if !self.offer {
            let next = format!("limen pass offer {}", output::printable(&made.id));
            return self.call.show(&made, &[next]);
        }
        let again = |failure: Failure| {
            let id = output::printable(&made.id);
            failure.hint(format!("the pass is issued; offer it with `limen pass offer {id}`"))
        };
        // What the server sent is asked about again only if it has the form of an identifier.
        let id = made.id.parse::<PassId>().map(|id| id.to_string());
        let id = id.map_err(|error| again(Failure::broken(error.to_string())))?;
        let offer = offer(&client, &id).map_err(again)?;
        if self.call.json {
            return self.call.value(&json!({ "pass": made, "offer": offer }));
        }
        let text = format!("{}\n{}", made.tree().to_text(), describe(&offer, true)?);
        output::text(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Deed {
    fn run(self, verb: &str) -> Result<ExitCode, Failure> {
        let Self { id, reason, call } = self;
        let path = format!("/v1/passes/{id}/{verb}");
        let changed: Pass = call.client()?.post_json(&path, &PassDeed { reason })?;
        call.show(&changed, &[])
    }
}

fn offer(client: &Client, id: &str) -> Result<Offer, Failure> {
    client.post_nothing(&format!("/v1/passes/{id}/offers"))
}

fn describe(offer: &Offer, with_picture: bool) -> Result<String, Failure> {
    let mut text = if with_picture { picture::qr(&offer.uri)? + "\n" } else { String::new() };
    let mut tree = Tree::new();
    tree.leaf("offer", offer.id.as_str());
    tree.leaf("valid until", offer.expires_at.as_str());
    if let Some(code) = &offer.transaction_code {
        tree.leaf("transaction code", code.as_str());
    }
    text.push_str(&tree.to_text());
    // Links stand bare and whole, to be copied.
    text.push_str(&format!("\n{}\n", output::printable(&offer.uri)));
    if offer.transaction_code.is_some() {
        text.push_str("\nTell the transaction code over another channel than the link.\n");
    }
    Ok(text)
}

impl Shown for Pass {
    const COLUMNS: &'static [&'static str] =
        &["id", "person", "product", "state", "from", "until", "version"];

    fn cells(&self) -> Vec<String> {
        let Self { id, person, product, state, valid_from, valid_until, version, findings: _ } =
            self.clone();
        vec![id, person, product, state, valid_from, valid_until, version.to_string()]
    }

    fn tree(&self) -> Tree {
        let mut tree = columns(self);
        if let Some(findings @ 1..) = self.findings {
            tree.leaf("findings", format!("{findings} taps with it should not have been"));
        }
        tree
    }
}

impl Shown for Finding {
    const COLUMNS: &'static [&'static str] = &[
        "found at",
        "kind",
        "evidence",
        "pass",
        "zone",
        "gate",
        "record",
        "at",
        "other gate",
        "other record",
        "other at",
    ];

    fn cells(&self) -> Vec<String> {
        let Self { found_at, kind, found, .. } = self.clone();
        let mut cells = vec![found_at, kind];
        if let Some(found) = found {
            let text = Option::unwrap_or_default;
            cells.extend([found.evidence, text(found.pass), text(found.zone)]);
            for FoundTap { reader, record, at, .. } in
                [Some(found.tap), found.other].into_iter().flatten()
            {
                cells.extend([reader, record.to_string(), at]);
            }
        }
        cells.resize(Self::COLUMNS.len(), String::new());
        cells
    }
}
