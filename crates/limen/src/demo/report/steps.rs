//! The table of all steps, and the words and marks for how they ended.

use super::figure;
use super::html::Html;
use crate::demo::story::{Outcome, Step};

/// After this step there is no network,
const NETWORK_GOES: &str = "stop-server";
/// until this step brings it back.
const NETWORK_RETURNS: &str = "restart-server";

/// Whether a step ended as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It did.
    Expected,
    /// It did not.
    Unexpected,
}

impl Verdict {
    /// The verdict on a step.
    pub(super) fn of(step: &Step) -> Self {
        if step.outcome == step.expected { Self::Expected } else { Self::Unexpected }
    }
}

/// An outcome as a word that begins a sentence.
pub(super) const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "Done",
        Outcome::Granted => "Granted",
        Outcome::Refused => "Refused",
    }
}

/// An outcome as a mark, so that no meaning hangs on colour.
pub(super) const fn mark(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "•",
        Outcome::Granted => "✓",
        Outcome::Refused => "✕",
    }
}

/// Appends the table. Roles are spelled out because a narrow page lays rows out as cards, and
/// browsers then forget what was a table.
pub(super) fn table(html: &mut Html, steps: &[Step]) {
    html.markup(
        "<table class=\"steps\" role=\"table\"><caption class=\"unseen\">All steps in order",
    );
    html.markup("</caption><thead role=\"rowgroup\"><tr role=\"row\">");
    for name in ["Step", "What happened", "Expected", "Outcome", "Time"] {
        html.element("<th role=\"columnheader\" scope=\"col\">", name, "</th>");
    }
    html.markup("</tr></thead>");
    let longest = steps.iter().map(|step| step.duration_us).max().unwrap_or_default().max(1);
    let mut first = 0;
    for (title, part) in parts(steps) {
        html.markup("<tbody role=\"rowgroup\" class=\"");
        html.text(if title == OFFLINE { "offline" } else { "online" });
        html.markup(
            "\"><tr role=\"row\" class=\"part\"><th role=\"rowheader\" scope=\"rowgroup\" ",
        );
        html.element("colspan=\"5\">", title, "</th></tr>");
        for (index, step) in part.iter().enumerate() {
            row(html, first + index + 1, step, longest);
        }
        first += part.len();
        html.markup("</tbody>");
    }
    html.markup("</table>");
}

const OFFLINE: &str = "Without any network";

/// The steps with the network, those without it, and those after it has come back.
fn parts(steps: &[Step]) -> impl Iterator<Item = (&'static str, &[Step])> {
    let goes = steps.iter().position(|step| step.name == NETWORK_GOES);
    let (before, rest) = steps.split_at(goes.map_or(steps.len(), |index| index + 1));
    let returns = rest.iter().position(|step| step.name == NETWORK_RETURNS);
    let (offline, after) = rest.split_at(returns.unwrap_or(rest.len()));
    let parts =
        [("With the network", before), (OFFLINE, offline), ("With the network again", after)];
    parts.into_iter().filter(|(_, part)| !part.is_empty())
}

fn row(html: &mut Html, number: usize, step: &Step, longest: u64) {
    html.markup("<tr role=\"row\" class=\"").text(step.outcome.as_str());
    html.text(if Verdict::of(step) == Verdict::Unexpected { " unexpected" } else { "" });
    html.markup("\"><td role=\"cell\" class=\"number\">").text(number);
    html.markup("</td><th role=\"rowheader\" scope=\"row\">");
    if step.tap.is_some() {
        html.markup("<a href=\"#tap-").text(step.name).markup("\">").text(step.title);
        html.markup("</a>");
    } else {
        html.text(step.title);
    }
    html.element(" <code>", step.name, "</code>");
    html.markup("<p>").prose(&step.reason).markup("</p></th><td role=\"cell\">");
    html.markup("<span class=\"key\">expected</span> ");
    html.text(step.expected.as_str());
    html.markup("</td><td role=\"cell\"><span class=\"key\">outcome</span> <b class=\"outcome\">");
    html.text(mark(step.outcome)).markup(" ").text(step.outcome.as_str()).markup("</b>");
    if Verdict::of(step) == Verdict::Unexpected {
        html.markup(" <span class=\"alarm\">not as expected</span>");
    }
    html.markup("</td><td role=\"cell\" class=\"time\">");
    html.text(figure::milliseconds(step.duration_us));
    let percent = step.duration_us.saturating_mul(100) / longest;
    html.markup("<svg class=\"bar\" aria-hidden=\"true\"><rect height=\"100%\" width=\"");
    html.text(percent.max(1)).markup("%\"/></svg></td></tr>");
}
