//! The story as one self-contained page.
//!
//! One file that works offline and on paper: no script, and nothing is loaded from anywhere. The
//! page forbids its browser to load anything, so that not even a mistake in it could.

mod diagram;
mod dump;
mod exchange;
mod figure;
mod html;
mod steps;
mod tap;

use serde_json::Value;
use vocabulary::time::Instant;

use self::html::Html;
use self::steps::Verdict;
use super::SABOTAGES;
use super::story::{Step, Story, Tap};
use crate::world;

const STYLE: &str = include_str!("report/page.css");

/// The page.
pub(super) fn page(story: &Story, sabotage: Option<&str>) -> String {
    render(story, sabotage, world::now())
}

fn render(story: &Story, sabotage: Option<&str>, at: Instant) -> String {
    let mut html = Html::default();
    html.markup("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    html.markup("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    html.markup("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; ");
    html.markup("style-src 'unsafe-inline'\"><meta name=\"color-scheme\" content=\"light dark\">");
    html.markup("<title>Limen: the story of a pass</title><style>").markup(STYLE);
    html.markup("</style></head><body><a class=\"skip\" href=\"#steps\">To the steps</a>");
    opening(&mut html, story, at);
    html.markup("<main>");
    verdict(&mut html, &story.steps, sabotage);
    summary(&mut html, story);
    html.markup("<section id=\"steps\" aria-labelledby=\"steps-title\">");
    html.markup("<h2 id=\"steps-title\">What happened, step by step</h2>");
    steps::table(&mut html, &story.steps);
    html.markup("</section>");
    taps(&mut html, &story.steps);
    log(&mut html, story);
    html.markup("</main><footer><p>Written by <code>limen demo --report</code>, Limen ");
    html.text(env!("CARGO_PKG_VERSION")).markup(". This page loads nothing and sends nothing. ");
    html.markup("What is folded away prints only when it is open.</p></footer></body></html>\n");
    html.into_string()
}

fn opening(html: &mut Html, story: &Story, at: Instant) {
    html.markup("<header><p class=\"kicker\">Limen demonstration, <time datetime=\"");
    let [moment, shown] = [at.floor_to_second().to_string(), readable(at)];
    html.text(moment).markup("\">").text(shown).markup("</time></p>");
    html.markup("<h1>A city pass, from its issue to an offline gate</h1><p class=\"lead\">A city ");
    html.markup("puts passes into phones over the network. Then the network goes, and ");
    html.markup("doors still know whom to let in and whom not. This page is the record of one ");
    html.markup("run: server, phones and readers were separate processes on one machine");
    let taps = taps_of(&story.steps).count();
    html.text(if taps > 0 {
        ", and every byte between the city’s readers and the phones is in it."
    } else {
        "."
    });
    html.markup("</p></header>");
}

/// A time to the minute.
fn readable(at: Instant) -> String {
    let civil = at.civil();
    format!("{} {:02}:{:02} UTC", civil.date, civil.hour, civil.minute)
}

fn verdict(html: &mut Html, steps: &[Step], sabotage: Option<&str>) {
    let unexpected: Vec<&Step> =
        steps.iter().filter(|step| Verdict::of(step) == Verdict::Unexpected).collect();
    let class = if unexpected.is_empty() { "good" } else { "bad" };
    html.markup("<section class=\"verdict ").text(class);
    html.markup("\" aria-labelledby=\"verdict\"><h2 id=\"verdict\">");
    if unexpected.is_empty() {
        html.markup("All ").text(figure::count(figure::length(steps), "step"));
        html.markup(" ended as expected.</h2>");
    } else {
        html.text(figure::grouped(figure::length(&unexpected))).markup(" of ");
        html.text(figure::count(figure::length(steps), "step"));
        html.markup(" did not end as expected.</h2><ul>");
        for step in &unexpected {
            html.element("<li><b>", step.title, "</b>: expected ").text(step.expected.as_str());
            html.markup(", but ").text(step.outcome.as_str()).markup(" (");
            html.prose(&step.reason).markup(")</li>");
        }
        html.markup("</ul>");
    }
    if let Some(name) = sabotage {
        let what = SABOTAGES.iter().find(|(known, _)| *known == name);
        html.element("<p>One measure was broken on purpose, <code>", name, "</code>");
        html.text(what.map(|(_, what)| format!(": {what}")).unwrap_or_default()).markup(". ");
        html.markup(if unexpected.is_empty() {
            "No step noticed."
        } else {
            "The difference above is what that measure prevents."
        });
        html.markup("</p>");
    } else if !unexpected.is_empty() {
        html.markup("<p>No measure was broken on purpose: this is a fault.</p>");
    }
    html.markup("</section>");
}

fn summary(html: &mut Html, story: &Story) {
    let taps: Vec<_> = taps_of(&story.steps).collect();
    let messages: Vec<_> = taps.iter().flat_map(|(_, _, tap)| exchange::messages(tap)).collect();
    let wire = messages.iter().map(|message| figure::length(&message.bytes)).sum();
    let outcome = |wanted: &str| {
        taps.iter().filter(|(_, step, _)| step.outcome.as_str() == wanted).count().to_string()
    };
    html.markup("<dl class=\"tiles\">");
    for (name, value) in [
        ("taps recorded", taps.len().to_string()),
        ("of them granted", outcome("granted")),
        ("of them refused", outcome("refused")),
        ("bytes between phones and readers", figure::grouped(wire)),
        ("entries in the audit log", size(story).map_or_else(|| "none".into(), figure::grouped)),
    ] {
        html.element("<div><dt>", name, "</dt><dd>").text(value).markup("</dd></div>");
    }
    html.markup("</dl>");
}

/// The steps with a tap, numbered as in the table.
fn taps_of(steps: &[Step]) -> impl Iterator<Item = (usize, &Step, &Tap)> {
    let numbered = steps.iter().enumerate();
    numbered.filter_map(|(index, step)| Some((index + 1, step, step.tap.as_ref()?)))
}

fn taps(html: &mut Html, steps: &[Step]) {
    if taps_of(steps).next().is_none() {
        return;
    }
    html.markup("<section id=\"taps\" aria-labelledby=\"taps-title\">");
    html.markup("<h2 id=\"taps-title\">The taps, byte by byte</h2><div class=\"prose\"><p>Each ");
    html.markup(
        "arrow is one message, in the order in which it was sent: the reader asks (solid), ",
    );
    html.markup("the phone answers (dashed); the number at its far end is its length in bytes. ");
    html.markup(
        "The messages are command and response APDUs (ISO/IEC 7816-4), as ISO/IEC 18013-5 ",
    );
    html.markup("uses them over NFC. The reader first reads how to speak to the phone; then both ");
    html.markup("agree on keys for this one session, and request and answer travel sealed. What ");
    html.markup("is written at the arrows is all that a listener without those keys can tell.</p>");
    html.markup("<p><b>No radio was used.</b> Phone and reader spoke over a local link, so the ");
    html.markup(
        "times at 106 and 424 kbit/s are arithmetic: the time that these bytes alone fill ",
    );
    html.markup("at the raw bit rate. Framing, pauses and a real phone’s own time come on top.");
    html.markup("</p></div>");
    for (number, step, tap) in taps_of(steps) {
        tap::write(html, number, step, tap);
    }
    html.markup("</section>");
}

fn log(html: &mut Html, story: &Story) {
    html.markup(
        "<section id=\"log\" aria-labelledby=\"log-title\"><h2 id=\"log-title\">The audit ",
    );
    html.markup("log</h2><div class=\"prose\"><p>Every deed of the city and of its readers is an ");
    html.markup(
        "entry in a log that can only grow. The root is one hash over all entries: whoever ",
    );
    html.markup(
        "keeps it can tell later whether a single one was changed or taken away.</p></div>",
    );
    let verified = match story.log.get("verified").and_then(Value::as_bool) {
        Some(true) => "✓ yes: every entry is included, and the log only grew",
        Some(false) => "✕ no: the log does not hold what its root says",
        None => "the story ended before that",
    };
    let entries = |size| format!("{} entries", figure::grouped(size));
    let size = size(story).map_or_else(|| "unknown".into(), entries);
    html.element("<dl class=\"log\"><div><dt>Size</dt><dd>", size, "</dd></div>");
    let root = story.log.get("root").and_then(Value::as_str).unwrap_or("unknown");
    html.element("<div><dt>Root</dt><dd><code>", root, "</code></dd></div>");
    html.element("<div><dt>Verified</dt><dd>", verified, "</dd></div></dl></section>");
}

/// Entries in the log at the end, if the story came so far.
fn size(story: &Story) -> Option<u64> {
    story.log.get("size").and_then(Value::as_u64)
}

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
