//! Texts that people type and machines only carry: one line, bounded, without tricks.
//!
//! A [`Line`] holds no control character and none of the marks that reorder what is shown
//! (Unicode bidirectional controls, UAX 9), so that what a clerk sees is what is stored. A
//! [`Personal`] line is personal data: it never shows itself in debug output.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// One line of text: 1 to `BYTES_MAX` bytes of UTF-8, no white space at its ends.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line<const BYTES_MAX: usize>(String);

/// A line that is personal data. [`Personal::expose`] is the only way to its text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Personal<const BYTES_MAX: usize>(Line<BYTES_MAX>);

impl<const BYTES_MAX: usize> Line<BYTES_MAX> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const BYTES_MAX: usize> Personal<BYTES_MAX> {
    /// The text, for storing it and for showing it to someone who may see it; never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }
}

/// Why a text is not a line. It never repeats the text, which may be personal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseTextError {
    /// There is no text.
    Empty,
    /// The text has more bytes than its field may have.
    Length {
        /// The limit of the field.
        bytes_max: usize,
    },
    /// White space at an end, a control character, or a mark that reorders what is shown.
    Character,
}

impl fmt::Display for ParseTextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("text is empty"),
            Self::Length { bytes_max } => write!(f, "text is longer than {bytes_max} bytes"),
            Self::Character => {
                f.write_str("text holds a control character or white space at one of its ends")
            }
        }
    }
}

impl core::error::Error for ParseTextError {}

impl<const BYTES_MAX: usize> FromStr for Line<BYTES_MAX> {
    type Err = ParseTextError;

    fn from_str(text: &str) -> Result<Self, ParseTextError> {
        if text.is_empty() {
            return Err(ParseTextError::Empty);
        }
        if text.len() > BYTES_MAX {
            return Err(ParseTextError::Length { bytes_max: BYTES_MAX });
        }
        if text.trim().len() != text.len() || text.chars().any(is_trick) {
            return Err(ParseTextError::Character);
        }
        Ok(Self(String::from(text)))
    }
}

impl<const BYTES_MAX: usize> FromStr for Personal<BYTES_MAX> {
    type Err = ParseTextError;

    fn from_str(text: &str) -> Result<Self, ParseTextError> {
        text.parse().map(Self)
    }
}

impl<const BYTES_MAX: usize> fmt::Display for Line<BYTES_MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const BYTES_MAX: usize> fmt::Debug for Line<BYTES_MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<const BYTES_MAX: usize> fmt::Debug for Personal<BYTES_MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(personal)")
    }
}

fn is_trick(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn check(text: &str, expected: Result<(), ParseTextError>) {
        assert_eq!(text.parse::<Line<8>>().map(|_| ()), expected, "{text:?}");
    }

    #[test]
    fn lines_hold_to_their_limit_and_characters() {
        check("Ada", Ok(()));
        check("Zoë Ött", Err(ParseTextError::Length { bytes_max: 8 }));
        check("12345678", Ok(()));
        check("123456789", Err(ParseTextError::Length { bytes_max: 8 }));
        check("", Err(ParseTextError::Empty));
        for trick in [" a", "a ", "a\nb", "a\u{0}b", "a\u{202e}b", "a\u{2066}b", "\u{feff}a"] {
            check(trick, Err(ParseTextError::Character));
        }
    }

    #[test]
    fn personal_line_is_silent_in_debug_output() {
        let name: Personal<32> = "Ada Lovelace".parse().unwrap();
        assert_eq!(name.expose(), "Ada Lovelace");
        assert!(!format!("{name:?}").contains("Ada"));
        // The control: an ordinary line does show itself.
        let line: Line<32> = "Ada Lovelace".parse().unwrap();
        assert!(format!("{line:?}").contains("Ada"));
    }
}
