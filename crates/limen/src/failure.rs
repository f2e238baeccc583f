//! Why a command ends without its job done, and what it prints then.

use std::error::Error;
use std::fmt::{self, Display};
use std::io::{self, Write};
use std::process::ExitCode;

/// A command that did not do its job.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// Something broke on the way.
    pub(crate) fn broken(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into(), hint: None }
    }

    /// The command was used in a way that cannot work.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into(), hint: None }
    }

    /// What to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The exit status.
    pub(crate) const fn code(&self) -> u8 {
        self.code
    }

    /// Prints to standard error and yields the exit status.
    pub(crate) fn report(self) -> ExitCode {
        // Whoever closed standard error does not want to know.
        let _ = writeln!(io::stderr().lock(), "limen: {self}");
        ExitCode::from(self.code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n       {hint}"),
            None => Ok(()),
        }
    }
}

/// An error with all of its sources in one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Turns any error into a [`Failure`] that says what was attempted.
pub(crate) trait OrFail<T> {
    /// The value, or a failure with `attempt` before the error.
    fn or_fail(self, attempt: impl Display) -> Result<T, Failure>;
}

impl<T, E: Error + 'static> OrFail<T> for Result<T, E> {
    fn or_fail(self, attempt: impl Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::broken(format!("{attempt}: {}", chain(&error))))
    }
}
