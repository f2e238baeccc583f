//! The PIN of a token's user: secret, wiped, never shown, and never in a configuration file.
//!
//! A configuration names where the PIN is ([`PinSource`]): a file of the owner alone, a variable of
//! the environment, or a person at the terminal.

use core::fmt;
use core::str::FromStr;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;

use aws_lc_rs::constant_time;
use cryptoki::types::AuthPin;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::file::{self, FileError};

/// Bytes in the longest PIN. What a token allows is less: it says so when the PIN is shown.
pub const PIN_BYTES_MAX: usize = 255;

/// A PIN. Wiped when dropped, never shown.
#[derive(Clone)]
pub struct Pin(Zeroizing<Box<str>>);

impl Pin {
    /// A PIN of 1 to [`PIN_BYTES_MAX`] bytes of UTF-8, without control characters.
    ///
    /// # Errors
    /// [`PinError::Form`].
    pub fn new(text: &str) -> Result<Self, PinError> {
        if text.is_empty() || text.len() > PIN_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(PinError::Form);
        }
        Ok(Self(Zeroizing::new(Box::from(text))))
    }

    /// The form that goes to the module; it wipes itself too.
    pub(crate) fn for_login(&self) -> AuthPin {
        AuthPin::new(Box::from(&**self.0))
    }

    /// Compares in a time that does not depend on where they differ.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes()).is_ok()
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(..)")
    }
}

/// Where a PIN is to be found: what a configuration holds in place of the PIN.
///
/// Text form: `file:` and a path, `env:` and a name, or `prompt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinSource {
    /// The first and only line of a file that nobody but its owner may read.
    File(PathBuf),
    /// A variable of the environment.
    Environment(String),
    /// A person at the terminal, who sees no echo.
    Prompt,
}

impl PinSource {
    /// Fetches the PIN; `label` tells the person at the terminal which token asks.
    ///
    /// # Errors
    /// [`PinError`].
    pub fn read(&self, label: &str) -> Result<Pin, PinError> {
        self.fetch(&format!("PIN of the token `{label}`: "))
    }

    /// Fetches the PIN of the token's security officer.
    ///
    /// # Errors
    /// [`PinError`].
    pub fn read_officer(&self, label: &str) -> Result<Pin, PinError> {
        self.fetch(&format!("PIN of the security officer of the token `{label}`: "))
    }

    fn fetch(&self, question: &str) -> Result<Pin, PinError> {
        match self {
            Self::File(path) => {
                let bytes = file::read_secret(path)?;
                Pin::new(one_line(core::str::from_utf8(&bytes).map_err(|_| PinError::Form)?))
            }
            Self::Environment(name) => {
                let missing = || PinError::NotSet { name: name.clone() };
                let text = Zeroizing::new(std::env::var(name).map_err(|_| missing())?);
                Pin::new(&text)
            }
            Self::Prompt => ask(question),
        }
    }
}

impl fmt::Display for PinSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::Prompt => f.write_str("prompt"),
        }
    }
}

impl FromStr for PinSource {
    type Err = ParsePinSourceError;

    fn from_str(text: &str) -> Result<Self, ParsePinSourceError> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("env", name)) if !name.is_empty() => Ok(Self::Environment(name.to_owned())),
            None if text == "prompt" => Ok(Self::Prompt),
            _ => Err(ParsePinSourceError),
        }
    }
}

/// The text without the end of its line, as editors leave one.
fn one_line(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// Asks at the controlling terminal, so that input and output may be redirected.
fn ask(question: &str) -> Result<Pin, PinError> {
    let line = hidden_line(question).map_err(|source| PinError::Terminal { source })?;
    Pin::new(one_line(&line))
}

fn hidden_line(question: &str) -> io::Result<Zeroizing<String>> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    let limit = u64::try_from(PIN_BYTES_MAX + 2).unwrap_or(u64::MAX);
    let mut line = Zeroizing::new(String::with_capacity(PIN_BYTES_MAX + 2));
    // First: what is typed as soon as the question stands there is not shown either.
    let hidden = Hidden::new(&terminal)?;
    write!(&terminal, "{question}")?;
    // A buffer of one byte, so that no copy of the PIN stays behind in it.
    let read = BufReader::with_capacity(1, (&terminal).take(limit)).read_line(&mut line);
    drop(hidden);
    writeln!(&terminal)?;
    read?;
    Ok(line)
}

/// While it lives, the terminal shows nothing of what is typed.
struct Hidden<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Hidden<'a> {
    /// Fails rather than let a PIN be seen.
    fn new(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// Why there is no PIN.
#[derive(Debug)]
pub enum PinError {
    /// Empty, longer than [`PIN_BYTES_MAX`], not UTF-8, or with a control character in it.
    Form,
    /// The variable is not set, or is not UTF-8.
    NotSet {
        /// Its name.
        name: String,
    },
    /// There is no terminal to ask at, or its echo cannot be switched off.
    Terminal {
        /// What the system said.
        source: io::Error,
    },
    /// The file could not be read, or others may read it.
    File(FileError),
}

impl From<FileError> for PinError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => write!(
                f,
                "read PIN: expected one line of 1 to `{PIN_BYTES_MAX}` bytes of plain text"
            ),
            Self::NotSet { name } => {
                write!(f, "read PIN: the environment has no variable `{name}`: set it")
            }
            Self::Terminal { .. } => f.write_str(
                "read PIN: no terminal to ask at; name a file or a variable of the environment",
            ),
            Self::File(error) => write!(f, "read PIN: {error}"),
        }
    }
}

impl core::error::Error for PinError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Terminal { source } => Some(source),
            Self::File(error) => error.source(),
            _ => None,
        }
    }
}

/// A text that names no source of a PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParsePinSourceError;

impl fmt::Display for ParsePinSourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not a source of a PIN: expected `file:` and a path, `env:` and the name of a variable, \
             or `prompt`; the PIN itself is never written here",
        )
    }
}

impl core::error::Error for ParsePinSourceError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pin_length_is_held_at_both_limits_and_control_characters_are_refused() {
        for (text, accepted) in [
            (String::new(), false),
            ("1".to_owned(), true),
            ("1".repeat(PIN_BYTES_MAX), true),
            ("1".repeat(PIN_BYTES_MAX + 1), false),
            ("12\n34".to_owned(), false),
        ] {
            assert_eq!(Pin::new(&text).is_ok(), accepted, "{}", text.len());
        }
    }

    #[test]
    fn pin_is_never_shown() {
        assert_eq!(format!("{:?}", Pin::new("271828").unwrap()), "Pin(..)");
    }

    #[test]
    fn sources_return_from_their_text_and_a_bare_pin_is_none() {
        for text in ["file:/etc/limen/pin", "env:LIMEN_PIN", "prompt"] {
            assert_eq!(text.parse::<PinSource>().unwrap().to_string(), text);
        }
        for text in ["271828", "", "file:", "env:", "prompt:x"] {
            assert_eq!(text.parse::<PinSource>(), Err(ParsePinSourceError), "{text}");
        }
    }
}
