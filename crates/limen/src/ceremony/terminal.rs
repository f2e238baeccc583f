//! A ceremony at the terminal: one screen for a step, names typed to confirm, shares cleared away.

use std::io::{self, BufRead, IsTerminal, Write};

use keys::ceremony::plan::Custodian;
use keys::ceremony::room::{Left, Room, Screen};
use keys::ceremony::shares::{SHARE_CHARACTERS, SHARE_CHARACTERS_MAX, Share, ShareError};
use keys::unlock::PASSPHRASE_BYTES_MIN;
use vocabulary::time::Instant;
use zeroize::Zeroizing;

use crate::login::Hidden;
use crate::{output, picture, world};

/// How often a name, a line or a passphrase may be mistyped.
const ATTEMPTS_MAX: usize = 5;
/// Bytes of a line that is typed.
const LINE_BYTES_MAX: usize = 2048;
/// Clears the screen and what was scrolled off it.
const CLEAR: &str = "\u{1b}[2J\u{1b}[3J\u{1b}[H";
const STOP: &str = "stop";

/// The terminal: screens go to standard error, so that the answer alone is on standard output.
pub(crate) struct Terminal {
    is_terminal: bool,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        Self { is_terminal: io::stdin().is_terminal() && io::stderr().is_terminal() }
    }

    /// Prints lines; what is not ours in them cannot steer the terminal.
    pub(crate) fn print(&self, text: &str) {
        let text = output::printable_lines(text);
        // Whoever closed standard error does not want to know.
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Clears what is on the screen and what was scrolled off it.
    pub(crate) fn clear(&self) {
        if self.is_terminal {
            let _ = write!(io::stderr(), "{CLEAR}");
        }
    }

    /// Asks until the answer is taken.
    pub(crate) fn ask<T>(
        &self,
        question: &str,
        mut take: impl FnMut(&str) -> Result<T, String>,
    ) -> Result<T, Left> {
        for _ in 0..ATTEMPTS_MAX {
            let _ = write!(io::stderr(), "{question} ");
            let line = read_line()?;
            let line = line.trim();
            if line == STOP {
                return Err(Left);
            }
            match take(line) {
                Ok(taken) => return Ok(taken),
                Err(complaint) => self.print(&complaint),
            }
        }
        self.print("That was wrong too often.");
        Err(Left)
    }

    /// Reads a share that its custodian types from paper, over one line or several.
    pub(crate) fn read_share(&self) -> Result<Share, Left> {
        let mut typed = Zeroizing::new(String::with_capacity(SHARE_CHARACTERS_MAX));
        let mut failed = 0;
        while failed < ATTEMPTS_MAX {
            let line = read_line()?;
            if line.trim() == STOP {
                return Err(Left);
            }
            typed.push_str(&line);
            match typed.parse::<Share>() {
                Ok(share) => return Ok(share),
                // Not whole yet.
                Err(ShareError::Length { found }) if found < SHARE_CHARACTERS => {}
                Err(error) => {
                    failed += 1;
                    typed.clear();
                    self.print(&format!("{error}. Begin again with its first line."));
                }
            }
        }
        self.print("That was wrong too often.");
        Err(Left)
    }

    fn ask_hidden(&self, question: &str) -> Result<Zeroizing<String>, Left> {
        let _ = write!(io::stderr(), "{question} ");
        let hidden = self.is_terminal.then(Hidden::new);
        let line = read_line();
        drop(hidden);
        if self.is_terminal {
            let _ = writeln!(io::stderr());
        }
        Ok(Zeroizing::new(line?.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

impl Room for Terminal {
    fn now(&mut self) -> Instant {
        world::now()
    }

    fn confirm(&mut self, screen: &Screen) -> Result<(), Left> {
        self.clear();
        self.print(&screen.to_string());
        for name in &screen.present {
            let question = format!("{name}, type your name to confirm, or `{STOP}`:");
            self.ask(&question, |line| match line == name.as_str() {
                true => Ok(()),
                false => Err(format!("That is not `{name}`.")),
            })?;
        }
        Ok(())
    }

    fn tell(&mut self, text: &str) {
        self.print(&format!("\n{text}"));
        if self.is_terminal {
            // The next screen wipes this one away: let them write it down first.
            let _ = write!(io::stderr(), "Press Enter when everybody has written it down. ");
            let _ = read_line();
        }
    }

    fn show_share(&mut self, custodian: &Custodian, share: &Share) -> Result<(), Left> {
        let text = share.danger_text();
        self.clear();
        self.print(&format!("Share {} of {}:\n\n{}\n", share.index(), custodian.name, *text));
        if !self.is_terminal {
            self.print("This is no terminal: what was printed cannot be cleared away.");
        }
        let last = Zeroizing::new(text.lines().last().unwrap_or_default().replace('-', ""));
        let question = format!(
            "{}, write it down and type its last line, or `qr` to see it as a QR picture:",
            custodian.name
        );
        let checked = self.ask(&question, |line| {
            if line == "qr" {
                let drawn = picture::qr(&text).map(Zeroizing::new);
                let _ = drawn.map(|drawn| write!(io::stderr(), "{}", *drawn));
                return Err(String::from("It holds the same four lines."));
            }
            let typed = Zeroizing::new(line.replace(['-', ' '], "").to_uppercase());
            match *typed == *last {
                true => Ok(()),
                false => Err(String::from("That is not the last line; compare what you wrote.")),
            }
        });
        self.clear();
        checked
    }

    fn passphrase(&mut self, whose: &str, is_new: bool) -> Result<Zeroizing<String>, Left> {
        for _ in 0..ATTEMPTS_MAX {
            let first = self.ask_hidden(&format!("Passphrase of {whose}:"))?;
            if !is_new {
                return Ok(first);
            }
            if first.len() < PASSPHRASE_BYTES_MIN {
                self.print(&format!("It needs at least {PASSPHRASE_BYTES_MIN} bytes."));
                continue;
            }
            if *self.ask_hidden(&format!("Passphrase of {whose}, once more:"))? == *first {
                return Ok(first);
            }
            self.print("The two are not the same.");
        }
        Err(Left)
    }
}

/// A line of standard input; the end of input is as good as leaving.
fn read_line() -> Result<Zeroizing<String>, Left> {
    let mut line = Zeroizing::new(String::with_capacity(LINE_BYTES_MAX));
    let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    let read = io::Read::take(io::stdin().lock(), limit).read_line(&mut line);
    match read {
        Ok(length) if length > 0 => Ok(line),
        _ => Err(Left),
    }
}
