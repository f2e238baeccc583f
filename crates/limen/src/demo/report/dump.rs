//! Every byte of a tap, as tables with an offset, the bytes and their letters.

use super::exchange::{Message, Way};
use super::figure;
use super::html::Html;

/// Bytes in a row; a narrow page breaks it in the middle.
const ROW_BYTES: usize = 16;
const HALF_BYTES: usize = ROW_BYTES / 2;

/// Appends the bytes of all messages, folded away until somebody asks for them.
pub(super) fn write(html: &mut Html, title: &str, messages: &[Message]) {
    let total = messages.iter().map(|message| figure::length(&message.bytes)).sum();
    html.element("<details><summary>Every byte: ", figure::bytes(total), " in ");
    html.text(figure::count(figure::length(messages), "message")).markup("</summary>");
    html.markup("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Bytes of: ");
    html.text(title).markup("\">");
    for (index, message) in messages.iter().enumerate() {
        table(html, index + 1, message);
    }
    html.markup("</div></details>");
}

fn table(html: &mut Html, number: usize, message: &Message) {
    let way = match message.way {
        Way::ToPhone => "reader to phone",
        Way::ToReader => "phone to reader",
    };
    html.markup("<table class=\"dump\"><caption>").text(number).markup(", ").text(way);
    html.element(": <b>", &message.label, "</b>");
    if !message.note.is_empty() {
        html.markup(" – ").text(&message.note);
    }
    html.markup(" <span>(").text(figure::bytes(figure::length(&message.bytes)));
    html.markup(")</span></caption><thead class=\"unseen\"><tr><th scope=\"col\">Offset</th>");
    html.markup("<th scope=\"col\">Bytes</th><th scope=\"col\">Letters</th></tr></thead><tbody>");
    for (index, row) in message.bytes.chunks(ROW_BYTES).enumerate() {
        let offset = format!("{:04x}", index * ROW_BYTES);
        html.element("<tr><th scope=\"row\">", offset, "</th><td>");
        for half in row.chunks(HALF_BYTES) {
            html.element("<span>", spaced(half), "</span> ");
        }
        html.element("</td><td class=\"letters\">", letters(row), "</td></tr>");
    }
    html.markup("</tbody></table>");
}

fn spaced(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// Printable ASCII as it is, a point for everything else.
fn letters(bytes: &[u8]) -> String {
    let letter = |byte: &u8| if (0x20..0x7F).contains(byte) { char::from(*byte) } else { '·' };
    bytes.iter().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::super::exchange::Chapter;
    use super::*;

    #[test]
    fn every_byte_is_there_with_its_offset() {
        let message = Message {
            way: Way::ToPhone,
            chapter: Chapter::Session,
            label: "x".into(),
            note: String::new(),
            bytes: (0x38..=0x48).collect(),
        };
        let mut html = Html::default();
        write(&mut html, "a tap", &[message]);
        let text = html.into_string();
        let first = "<tr><th scope=\"row\">0000</th><td><span>38 39 3a 3b 3c 3d 3e 3f</span> \
                     <span>40 41 42 43 44 45 46 47</span> </td>\
                     <td class=\"letters\">89:;&lt;=&gt;?@ABCDEFG</td></tr>";
        assert!(text.contains(first), "{text}");
        assert!(text.contains("<th scope=\"row\">0010</th><td><span>48</span>"), "{text}");
        assert!(text.contains("17 bytes in 1 message"), "{text}");
    }
}
