//! Running other programs, and the one error of this tool.
//!
//! A program is started with its arguments as a list, never through a shell.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::house::House;

/// What went wrong, in words for the person at the terminal.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// `cargo` in the workspace root. Where `CI` is set the lock file must already be right.
pub(crate) fn cargo(house: &House, arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    let (verb, rest) =
        arguments.split_first().map_or(("help", arguments), |(verb, rest)| (*verb, rest));
    command.current_dir(house.root()).arg(verb);
    if std::env::var_os("CI").is_some() && verb != "fmt" {
        command.arg("--locked");
    }
    command.args(rest);
    command
}

/// Any program, started in `directory`.
pub(crate) fn program(
    name: impl AsRef<std::ffi::OsStr>,
    arguments: &[&str],
    directory: &Path,
) -> Command {
    let mut command = Command::new(name);
    command.current_dir(directory).args(arguments).stdin(Stdio::null());
    command
}

/// Runs to the end with its output on our terminal; anything but success is a failure.
pub(crate) fn show(mut command: Command) -> Result<(), Failure> {
    let shown = shown(&command);
    let status =
        command.status().map_err(|error| Failure::new(format!("start `{shown}`: {error}")))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("`{shown}` ended with {status}")))
    }
}

/// Runs to the end and gives its standard output; on failure the error holds its last words.
pub(crate) fn read(mut command: Command) -> Result<String, Failure> {
    let shown = shown(&command);
    let output =
        command.output().map_err(|error| Failure::new(format!("start `{shown}`: {error}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!("`{shown}` ended with {}\n{}", output.status, words.trim_end())))
}

/// Runs to the end and hands over each line of standard output as it comes.
pub(crate) fn follow(mut command: Command, mut line: impl FnMut(&str)) -> Result<(), Failure> {
    let shown = shown(&command);
    let failed = |error: std::io::Error| Failure::new(format!("run `{shown}`: {error}"));
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    if let Some(stdout) = child.stdout.take() {
        for text in BufReader::new(stdout).lines() {
            line(&text.map_err(failed)?);
        }
    }
    let status = child.wait().map_err(failed)?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("`{shown}` ended with {status}")))
    }
}

/// The program and its arguments as a person would type them.
pub(crate) fn shown(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy();
    let mut words = vec![name.into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}
