//! A foreign peer: a process that takes one JSON job per line and gives one JSON answer per line.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// Which implementation answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Implementation {
    /// npm `@owf/mdoc` 0.6.0: issuer, holder and verifier of mdocs.
    OwfMdoc,
    /// npm `@auth0/mdl` 3.0.1: verifier of mdocs; it reads the machine's clock.
    Auth0Mdl,
    /// PyPI `pymdoccbor` 1.4.0: issuer of mdocs, and verifier of what the issuer signed.
    PyMdocCbor,
    /// npm `@sd-jwt/sd-jwt-vc` and `@sd-jwt/jwt-status-list` 0.19.0.
    SdJwtVc,
    /// PyPI `sd-jwt` 0.10.4, the reference implementation of RFC 9901; it checks no times.
    SdJwtPython,
    /// npm `@openid4vc/openid4vci` 0.4.6: a wallet that obtains credentials.
    OpenId4Vci,
    /// npm `@noble/post-quantum` 0.4.1 and node's own ECDSA: verifiers of the halves of a composite.
    NobleHybrid,
    /// The express tap, written from its specification alone; PyPI `cryptography` 50.0.2 beneath.
    Express,
}

impl Implementation {
    const fn script(self) -> &'static str {
        match self {
            Self::OwfMdoc => "mdoc-owf.mjs",
            Self::Auth0Mdl => "mdoc-auth0.mjs",
            Self::PyMdocCbor => "mdoc_pymdoccbor.py",
            Self::SdJwtVc => "sd-jwt-vc.mjs",
            Self::SdJwtPython => "sd_jwt_python.py",
            Self::OpenId4Vci => "openid4vci.mjs",
            Self::NobleHybrid => "hybrid.mjs",
            Self::Express => "express.py",
        }
    }

    fn command(self) -> Result<Command, PeerError> {
        let crate_directory = Path::new(env!("CARGO_MANIFEST_DIR"));
        let scripts = crate_directory.join("peers");
        let (program, installed): (PathBuf, PathBuf) = if self.script().ends_with(".py") {
            let python = crate_directory.join("../../target/peers/venv/bin/python");
            (python.clone(), python)
        } else {
            ("node".into(), scripts.join("node_modules/.installed"))
        };
        if !installed.exists() {
            return Err(PeerError::NotInstalled);
        }
        let mut command = Command::new(program);
        command.current_dir(&scripts).arg(self.script()).env("PYTHONDONTWRITEBYTECODE", "1");
        Ok(command)
    }
}

/// Why a peer gave no answer.
#[derive(Debug)]
pub enum PeerError {
    /// Nobody ran `cargo xtask setup` here.
    NotInstalled,
    /// The process could not be started or spoken to.
    Process(io::Error),
    /// The process ended, or said something that is no JSON.
    NoAnswer(String),
    /// The peer's library failed on the job, in its own words.
    Job(String),
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled => {
                f.write_str("the foreign peers are missing: run `cargo xtask setup`")
            }
            Self::Process(_) => f.write_str("speak to the process of a foreign peer"),
            Self::NoAnswer(line) => write!(f, "a foreign peer answered `{line}`"),
            Self::Job(words) => write!(f, "a foreign peer failed: {words}"),
        }
    }
}

impl std::error::Error for PeerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Process(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for PeerError {
    fn from(error: io::Error) -> Self {
        Self::Process(error)
    }
}

/// A running peer. It ends when this value is dropped.
#[derive(Debug)]
pub struct Peer {
    process: Child,
    jobs: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts the process.
    ///
    /// # Errors
    /// [`PeerError::NotInstalled`] and [`PeerError::Process`].
    pub fn start(implementation: Implementation) -> Result<Self, PeerError> {
        let mut command = implementation.command()?;
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        match (process.stdin.take(), process.stdout.take()) {
            (Some(jobs), Some(answers)) => {
                Ok(Self { process, jobs, answers: BufReader::new(answers) })
            }
            _ => Err(PeerError::Process(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Gives the peer a job, an object with the member `job`, and waits for its answer.
    ///
    /// # Errors
    /// [`PeerError::Job`] when the peer's library failed, the others when there is no answer.
    pub fn ask(&mut self, job: &Value) -> Result<Value, PeerError> {
        writeln!(self.jobs, "{job}")?;
        self.jobs.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answer: Value = serde_json::from_str(&line)
            .map_err(|_| PeerError::NoAnswer(line.trim_end().to_owned()))?;
        match answer.get("error").and_then(Value::as_str) {
            Some(words) => Err(PeerError::Job(words.to_owned())),
            None => Ok(answer),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // A peer that has ended already needs no killing; either way it is waited for.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
