//! What a command prints to standard output. A closed pipe ends the program quietly.

use std::io::{self, Write};

use serde_json::Value;

use crate::failure::{Failure, OrFail};

/// Prints text as it is.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    write(text.as_bytes())
}

/// Prints a JSON value over several lines.
pub(crate) fn json(value: &Value) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).or_fail("cannot write JSON")?;
    write(escaped(&text).as_bytes())?;
    write(b"\n")
}

/// JSON that says the same without a character that steers a terminal. Such characters stand in
/// strings alone, where JSON knows another way to write them (RFC 8259, 7).
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character != '\n' && (character.is_control() || is_invisible(character)) {
            let mut units = [0; 2];
            let units = character.encode_utf16(&mut units).iter();
            text.extend(units.map(|unit| format!("\\u{unit:04x}")));
        } else {
            text.push(character);
        }
    }
    text
}

/// Text from outside, fit for a terminal: control characters and those that turn the direction of
/// writing or cannot be seen are escaped.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_invisible(character) {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    printable
}

/// As [`printable`], but lines stay lines: for messages that quote a file.
pub(crate) fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

const fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Prints bytes as they are.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    write(bytes)
}

fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.or_fail("cannot write to standard output"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(printable(text), expected);
    }

    #[test]
    fn json_says_the_same_without_steering_a_terminal() {
        let steering = "\u{9b}2J \u{202e}dnuof \u{e0041} \x1b[31m ü\n";
        let value = serde_json::json!({ "name": steering, "list": [1, 2] });
        let text = escaped(&serde_json::to_string_pretty(&value).unwrap());
        assert!(text.chars().all(|c| c == '\n' || !(c.is_control() || is_invisible(c))), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn what_would_steer_a_terminal_is_escaped() {
        check("Town Hall \"A\", Tor zum Süden ✓", "Town Hall \"A\", Tor zum Süden ✓");
        check("red \x1b[31m and \r\n", "red \\u{1b}[31m and \\r\\n");
        check("\u{9b}2J \u{202e}dnuof", "\\u{9b}2J \\u{202e}dnuof");
    }
}
