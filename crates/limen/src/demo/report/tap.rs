//! One tap: its diagram, its figures, the decision, and every byte.

use super::diagram::{self, Ends};
use super::exchange::{self, Message, Way};
use super::html::Html;
use super::steps::{self, Verdict};
use super::{dump, figure};
use crate::demo::story::{Step, Tap};

/// The bit rates of contactless cards that are reckoned with, in kbit/s (ISO/IEC 14443-2).
const KILOBITS_PER_SECOND: [u64; 2] = [106, 424];
/// The step in which no phone is there: a recording answers.
const REPLAY: &str = "replayed";

/// Appends the section of a step that has a tap.
pub(super) fn write(html: &mut Html, number: usize, step: &Step, tap: &Tap) {
    let messages = exchange::messages(tap);
    html.markup("<section class=\"tap\" id=\"tap-").text(step.name);
    html.markup("\" aria-labelledby=\"title-").text(step.name).markup("\"><h3 id=\"title-");
    html.text(step.name).markup("\"><span class=\"number\">Step ").text(number);
    html.element("</span> ", step.title, "</h3><div class=\"columns\"><figure>");
    if messages.is_empty() {
        html.markup("<p>Reader and phone exchanged nothing.</p>");
    } else {
        let phone = if step.name == REPLAY { "Recording" } else { "Phone" };
        diagram::draw(html, step.title, &Ends { reader: "Reader", phone }, &messages);
    }
    decision(html, step);
    html.markup("</figure>");
    figures(html, tap, &messages);
    html.markup("</div>");
    dump::write(html, step.title, &messages);
    html.markup("</section>");
}

/// What came of it, under the diagram.
fn decision(html: &mut Html, step: &Step) {
    html.markup("<figcaption class=\"decision ").text(step.outcome.as_str());
    if Verdict::of(step) == Verdict::Unexpected {
        html.markup(" unexpected");
    }
    html.markup("\"><p><b>").text(steps::mark(step.outcome)).markup(" ");
    html.text(steps::word(step.outcome)).markup("</b>");
    match Verdict::of(step) {
        Verdict::Expected => html.markup(", as expected"),
        Verdict::Unexpected => {
            html.element(", but expected was <b>", step.expected.as_str(), "</b>")
        }
    };
    html.markup("</p><p>").prose(&step.reason).markup("</p></figcaption>");
}

fn figures(html: &mut Html, tap: &Tap, messages: &[Message]) {
    let [there, back] = [Way::ToPhone, Way::ToReader].map(|way| exchange::bytes(messages, way));
    let total = there.saturating_add(back);
    html.markup("<dl class=\"figures\">");
    let mut figure = |name: &'static str, value: String, remark: &'static str| {
        html.element("<div><dt>", name, "</dt><dd>").text(value);
        html.element(" <small>", remark, "</small></dd></div>");
    };
    figure("Reader to phone", figure::bytes(there), "");
    figure("Phone to reader", figure::bytes(back), "");
    figure("On the wire", figure::bytes(total), "both ways, command headers and status included");
    for (rate, name) in KILOBITS_PER_SECOND.into_iter().zip(["At 106 kbit/s", "At 424 kbit/s"]) {
        let time = figure::milliseconds(figure::wire_micros(total, rate));
        figure(name, time, "arithmetic: bytes × 8 ÷ rate");
    }
    let time = figure::milliseconds(tap.duration_us);
    figure("Reader’s time", time, "measured, from the first command to the deed");
    html.markup("</dl>");
}
