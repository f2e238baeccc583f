//! `limen card simulate`: a software card in the field of a reader.

use std::io::{self, BufRead, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use edge::card_host::SoftwareCard;
use edge::link::Link;
use edge::vpcd::{self, CardApplication};

use super::lines::{Bytes, LINE_BYTES_MAX, hexadecimal, line};
use crate::failure::{Failure, OrFail};
use crate::wallet::parse_address;
use crate::wallet::present::VPCD;

#[derive(Args)]
#[command(after_help = "Examples:\n  limen card simulate rider.card --reader 127.0.0.1:7000\n  \
    limen card simulate rider.card --vpcd\n  limen card simulate rider.card < commands\n\n\
    Without --reader the reader is whoever carries lines: a command is one line of hexadecimal digits on\n\
    standard input, the answer with its status word one line on standard output. An empty line takes the\n\
    card out of the field and puts it back. End of input, or a line that begins with `{`, is the end.")]
pub(crate) struct Simulate {
    /// The file of the card.
    #[arg(value_name = "FILE")]
    card: PathBuf,
    /// The local link of a reader: one tap.
    #[arg(long, value_name = "ADDRESS")]
    reader: Option<SocketAddr>,
    /// Lie in a virtual reader of the PC/SC service, whose `vpcd` listens here, until interrupted. For
    /// trials only.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, conflicts_with = "reader",
          default_missing_value = VPCD, value_parser = parse_address)]
    vpcd: Option<SocketAddr>,
}

impl Simulate {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let mut card = SoftwareCard::open(&self.card).or_fail("cannot take the card")?;
        match (self.vpcd, self.reader) {
            (Some(address), _) => {
                vpcd::stay(address, card::HISTORICAL, &mut card).map_err(|error| {
                    Failure::broken(format!("cannot reach `vpcd` at {address}: {error}"))
                        .hint("is `pcscd` running, with the package vsmartcard-vpcd?")
                })?;
            }
            (None, Some(address)) => {
                let attempt = "cannot tap";
                let mut link = Link::connect(address).or_fail(attempt)?;
                card.serve(&mut link).or_fail(attempt)?;
            }
            (None, None) => serve(&mut card, &mut io::stdin().lock(), &mut io::stdout().lock())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn serve(
    card: &mut dyn CardApplication,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    loop {
        let mut text = String::new();
        let read = input.take(LINE_BYTES_MAX).read_line(&mut text);
        read.or_fail("cannot read from standard input")?;
        let command = text.trim_end();
        if text.is_empty() || command.starts_with('{') {
            return Ok(());
        }
        if command.is_empty() {
            card.reset();
            continue;
        }
        let Ok(Bytes(command)) = hexadecimal(command) else {
            let text = "a line of standard input is no command APDU";
            return Err(Failure::usage(text).hint("pairs of hexadecimal digits, a line each"));
        };
        let answer = card.command(&command);
        let written = writeln!(out, "{}", line(&answer)).and_then(|()| out.flush());
        match written {
            // The reader is gone: so is the card.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.or_fail("cannot write to standard output")?,
        }
    }
}
