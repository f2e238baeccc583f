//! QR pictures in the terminal: two modules in a character, by half blocks.

use std::io::{self, IsTerminal};

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use crate::failure::{Failure, OrFail};

/// Black on white whatever the colours of the terminal are, since cameras want it so.
const COLOURS: &str = "\u{1b}[30;107m";
const RESET: &str = "\u{1b}[0m";

/// The QR picture of a text, with its quiet zone, coloured where standard output is a terminal.
pub(crate) fn qr(text: &str) -> Result<String, Failure> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L);
    let code = code.or_fail("cannot draw the QR picture")?;
    let drawn = code.render::<Dense1x2>().quiet_zone(true).build();
    if !io::stdout().is_terminal() {
        return Ok(drawn + "\n");
    }
    Ok(drawn.lines().map(|line| format!("{COLOURS}{line}{RESET}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_rows_of_modules_stand_in_a_line() {
        // 21 modules of version 1 and a quiet zone of 4 on each side: 29 by 29.
        let drawn = qr("limen").unwrap();
        assert!(drawn.lines().all(|line| line.chars().count() == 29));
        assert_eq!(drawn.lines().count(), 15);
        assert!(qr(&"x".repeat(3000)).is_err());
    }
}
