//! The sequence diagram of one tap: two lifelines, and an arrow for each APDU.
//!
//! Places are percentages across and pixels down, so that the picture fits any width and its
//! letters never shrink. A reader of the page who cannot see it finds the same list below it.

use super::exchange::{Chapter, Message, Way};
use super::figure;
use super::html::Html;

/// Characters of a label or note that fit between the lifelines of a phone's page.
const LABEL_CHARACTERS_MAX: usize = 28;
const NOTE_CHARACTERS_MAX: usize = 44;

const HEAD_PX: u64 = 46;
const CHAPTER_PX: u64 = 38;
const LABEL_PX: u64 = 15;
const NOTE_PX: u64 = 15;
/// From the last line of text to the arrow, and from there to the next text.
const ARROW_PX: u64 = 8;
const GAP_PX: u64 = 8;

/// Who stands at the two lifelines.
pub(super) struct Ends {
    /// At the left, who asks.
    pub(super) reader: &'static str,
    /// At the right, who answers.
    pub(super) phone: &'static str,
}

/// Appends the diagram; `title` names it for those who cannot see it.
pub(super) fn draw(html: &mut Html, title: &str, ends: &Ends, messages: &[Message]) {
    let height = HEAD_PX + rows(messages).map(|row| row.height).sum::<u64>() + GAP_PX;
    html.markup("<svg class=\"sequence\" role=\"img\" width=\"100%\" height=\"").text(height);
    html.markup("\" aria-label=\"Sequence diagram: ").text(title).markup(". ");
    html.text(figure::count(figure::length(messages), "message"));
    html.markup(", listed with their bytes below the diagram.\">");
    for (x, class, name) in [("6%", "start", ends.reader), ("94%", "end", ends.phone)] {
        html.markup("<line class=\"life\" x1=\"").text(x).markup("\" x2=\"").text(x);
        html.markup("\" y1=\"30\" y2=\"").text(height).markup("\"/>");
        html.markup("<text class=\"name ").text(class).markup("\" x=\"");
        html.text(if class == "start" { "0" } else { "100%" });
        html.element("\" y=\"18\">", name, "</text>");
    }
    let mut top = HEAD_PX;
    for row in rows(messages) {
        if let Some(chapter) = row.chapter {
            html.markup("<text class=\"chapter\" x=\"50%\" y=\"").text(top + 20);
            html.element("\">", heading(chapter), "</text>");
        }
        arrow(html, row.message, top + row.height - GAP_PX);
        top += row.height;
    }
    html.markup("</svg>");
}

/// What a chapter is called.
pub(super) const fn heading(chapter: Chapter) -> &'static str {
    match chapter {
        Chapter::Engagement => "1. The phone says how to speak to it",
        Chapter::Session => "2. Keys, sealed request, sealed answer",
        Chapter::Ending => "3. Good-bye",
    }
}

struct Row<'a> {
    message: &'a Message,
    /// The chapter that begins here.
    chapter: Option<Chapter>,
    height: u64,
}

fn rows(messages: &[Message]) -> impl Iterator<Item = Row<'_>> {
    let mut current = None;
    messages.iter().map(move |message| {
        let begins = current.replace(message.chapter) != Some(message.chapter);
        let chapter = begins.then_some(message.chapter);
        let notes = message.note.lines().map(|_| NOTE_PX).sum::<u64>();
        let opening = if begins { CHAPTER_PX } else { 0 };
        Row { message, chapter, height: opening + LABEL_PX + notes + ARROW_PX + GAP_PX }
    })
}

/// One arrow at the height `y`, with its words above it at the side of the sender.
fn arrow(html: &mut Html, message: &Message, y: u64) {
    let (class, near, near_shift, far, far_shift) = match message.way {
        Way::ToPhone => ("command", "6%", "12", "94%", "-12"),
        Way::ToReader => ("response", "94%", "-12", "6%", "12"),
    };
    html.markup("<g class=\"").text(class);
    html.text(if message.bytes.is_empty() { " lost" } else { "" });
    html.markup("\"><line class=\"arrow\" x1=\"").text(near).markup("\" x2=\"").text(far);
    html.markup("\" y1=\"").text(y).markup("\" y2=\"").text(y).markup("\"/>");
    head(html, message.way, y);
    let mut text = |class: &'static str, x: &str, shift: &str, y: u64, words: &str| {
        html.markup("<text class=\"").text(class).markup("\" x=\"").text(x);
        html.markup("\" dx=\"").text(shift).markup("\" y=\"").text(y);
        html.element("\">", words, "</text>");
    };
    let notes = message.note.lines().map(|_| NOTE_PX).sum::<u64>();
    let mut base = y - ARROW_PX - notes;
    text("label", near, near_shift, base, &cut(&message.label, LABEL_CHARACTERS_MAX));
    let size = format!("{} B", figure::grouped(figure::length(&message.bytes)));
    text("size", far, far_shift, base, &size);
    for line in message.note.lines() {
        base += NOTE_PX;
        text("note", near, near_shift, base, &cut(line, NOTE_CHARACTERS_MAX));
    }
    html.markup("</g>");
}

/// The point of an arrow, inside a picture of its own because its place is a percentage.
fn head(html: &mut Html, way: Way, y: u64) {
    let (x, points) = match way {
        Way::ToPhone => ("94%", "-1,0 -10,-4.5 -10,4.5"),
        Way::ToReader => ("6%", "1,0 10,-4.5 10,4.5"),
    };
    html.markup("<svg class=\"head\" x=\"").text(x).markup("\" y=\"").text(y);
    html.markup("\"><polygon points=\"").text(points).markup("\"/></svg>");
}

/// The beginning of a text, with a mark where more follows.
fn cut(text: &str, characters_max: usize) -> String {
    if text.chars().count() <= characters_max {
        return text.into();
    }
    text.chars().take(characters_max.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_hold_to_their_limit() {
        assert_eq!(cut("four", 4), "four");
        assert_eq!(cut("fives", 4), "fiv…");
        assert_eq!(cut("äöüßé", 4), "äöü…");
    }
}
