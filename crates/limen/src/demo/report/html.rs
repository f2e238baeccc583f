//! Text and markup that cannot be mistaken for each other.
//!
//! Markup is what this program was compiled with; everything that comes from anywhere else enters
//! as text and is escaped for element content and for attributes in double quotes. What would
//! reorder or hide its neighbours on the page is replaced.

use std::fmt::{self, Display, Write};

/// A piece of a page.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Appends markup. Only literals fit: no text from outside can come this way.
    pub(super) fn markup(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Appends text, escaped.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Self {
        // INVARIANT: writing to a `String` does not fail.
        let _ = write!(Escaping(&mut self.0), "{text}");
        self
    }

    /// Appends an element that holds nothing but text: `open` and `close` are its tags.
    pub(super) fn element(
        &mut self,
        open: &'static str,
        text: impl Display,
        close: &'static str,
    ) -> &mut Self {
        self.markup(open).text(text).markup(close)
    }

    /// Appends text in which backticks enclose what a program says.
    pub(super) fn prose(&mut self, text: &str) -> &mut Self {
        let is_paired = text.matches('`').count().is_multiple_of(2);
        if !is_paired {
            return self.text(text);
        }
        for (index, part) in text.split('`').enumerate() {
            if index.is_multiple_of(2) {
                self.text(part);
            } else {
                self.element("<code>", part, "</code>");
            }
        }
        self
    }

    /// The finished page.
    pub(super) fn into_string(self) -> String {
        self.0
    }
}

struct Escaping<'a>(&'a mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(c),
                _ if c.is_control() || reorders(c) => self.0.push(char::REPLACEMENT_CHARACTER),
                _ => self.0.push(c),
            }
        }
        Ok(())
    }
}

/// Marks, embeddings, overrides and isolates of the bidirectional algorithm (Unicode annex 9).
const fn reorders(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let mut html = Html::default();
        html.text(text);
        assert_eq!(html.into_string(), expected);
    }

    #[test]
    fn text_cannot_become_markup() {
        check("plain, with ä and 門", "plain, with ä and 門");
        check("<script>alert('1')</script>", "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;");
        check("\" onload=\"x", "&quot; onload=&quot;x");
        check("&lt;", "&amp;lt;");
    }

    #[test]
    fn text_cannot_reorder_or_hide_its_neighbours() {
        check("a\u{202E}b\u{2069}c", "a\u{FFFD}b\u{FFFD}c");
        check("a\0b\u{1B}[0m", "a\u{FFFD}b\u{FFFD}[0m");
        check("two\nlines", "two\nlines");
    }

    #[test]
    fn what_a_program_says_stands_between_backticks() {
        for (text, expected) in [
            ("no `a<b>` here", "no <code>a&lt;b&gt;</code> here"),
            ("`a` and `b`", "<code>a</code> and <code>b</code>"),
            ("one ` alone <", "one ` alone &lt;"),
        ] {
            let mut html = Html::default();
            html.prose(text);
            assert_eq!(html.into_string(), expected);
        }
    }

    #[test]
    fn an_element_holds_its_text() {
        let mut html = Html::default();
        html.element("<b>", "1 < 2", "</b>");
        assert_eq!(html.into_string(), "<b>1 &lt; 2</b>");
    }
}
