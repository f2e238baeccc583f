//! A card in a reader of the system, as a transport.

use std::ffi::CStr;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pcsc::{Card, Context, Disposition, Error, MAX_ATR_SIZE, Protocols, ShareMode};

use crate::link::{FRAME_BYTES_MAX, LinkError};
use crate::transport::{Exchanged, Transport};

/// Bytes of the names of one reader: those of the service have at most 128.
const NAMES_BYTES_MAX: usize = 512;

/// A card that this process alone talks to. PC/SC knows no end of waiting for a response: a thread of
/// the card's own waits, so that a card that falls silent holds up nobody but its reader.
pub struct CardLink {
    commands: Option<Sender<Vec<u8>>>,
    answers: Receiver<Answer>,
    worker: Option<JoinHandle<()>>,
    /// Whether an answer is still to come for which nobody waits any more.
    is_silent: bool,
    /// Whether the service could not carry a command.
    has_failed: bool,
}

struct Answer {
    response: Result<Vec<u8>, Error>,
    took: Duration,
}

/// Powers the card in a reader and takes it for this process alone.
///
/// # Errors
/// [`Error`] of the service; [`Error::NoMemory`] where no thread can be had.
pub fn connect(context: &Context, reader: &CStr) -> Result<CardLink, Error> {
    over(context.connect(reader, ShareMode::Exclusive, Protocols::ANY)?)
}

/// As [`connect`], of a card that the service has not noticed.
pub(super) fn rouse(context: &Context, reader: &CStr) -> Result<CardLink, Error> {
    let mut card = context.connect(reader, ShareMode::Direct, Protocols::UNDEFINED)?;
    card.reconnect(ShareMode::Exclusive, Protocols::ANY, Disposition::ResetCard)?;
    over(card)
}

fn over(card: Card) -> Result<CardLink, Error> {
    // Room for any, since what a first call said of the lengths may have grown by the next.
    let (mut names, mut atr) = ([0; NAMES_BYTES_MAX], [0; MAX_ATR_SIZE]);
    // One that moved away while it was powered speaks no protocol, and cannot be talked to.
    if card.status2(&mut names, &mut atr)?.protocol2().is_none() {
        return Err(Error::UnpoweredCard);
    }
    let (commands, to_send) = channel();
    let (answered, answers) = channel();
    let worker = thread::Builder::new().name("card".into());
    let worker = worker.spawn(move || work(card, &to_send, &answered));
    let worker = Some(worker.map_err(|_| Error::NoMemory)?);
    Ok(CardLink { commands: Some(commands), answers, worker, is_silent: false, has_failed: false })
}

fn work(card: Card, commands: &Receiver<Vec<u8>>, answers: &Sender<Answer>) {
    let mut buffer = vec![0; FRAME_BYTES_MAX];
    for command in commands {
        let begin = Instant::now();
        let response = card.transmit(&command, &mut buffer).map(<[u8]>::to_vec);
        let took = begin.elapsed();
        if answers.send(Answer { response, took }).is_err() {
            break;
        }
    }
    // The session ends in the card, too; and by this the service notices a card that has left.
    if let Err((card, _)) = card.disconnect(Disposition::ResetCard) {
        drop(card);
    }
}

impl CardLink {
    /// Whether the card still owes an answer for which nobody waits any more.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.is_silent
    }

    /// Resets the card and lets go of it; waits until a silent card has answered or gone. Says whether a
    /// command was not carried, that of a silent card too.
    pub fn close(mut self) -> bool {
        self.commands = None;
        if let Some(worker) = self.worker.take() {
            // A worker that panicked has let go of its card, too.
            let _ = worker.join();
        }
        let came = |answer: Answer| answer.response.is_ok_and(|response| !response.is_empty());
        self.has_failed || !self.answers.try_iter().all(came)
    }
}

impl Transport for CardLink {
    fn exchange(&mut self, command: &[u8], wait: Duration) -> Result<Exchanged, LinkError> {
        let commands = self.commands.as_ref().filter(|_| !self.is_silent);
        let sent = commands.map(|commands| commands.send(command.to_vec()));
        let Some(Ok(())) = sent else { return Err(LinkError::Gone) };
        match self.answers.recv_timeout(wait) {
            // No response is empty: some drivers say so of a card that is gone.
            Ok(Answer { response: Ok(response), took }) if !response.is_empty() => {
                Ok(Exchanged { response, took })
            }
            Ok(Answer { response, .. }) => {
                self.has_failed = true;
                Err(response.map_or_else(link_error, |_| LinkError::Gone))
            }
            Err(RecvTimeoutError::Timeout) => {
                self.is_silent = true;
                let source = io::Error::new(io::ErrorKind::TimedOut, "the card does not answer");
                Err(LinkError::Io { source })
            }
            Err(RecvTimeoutError::Disconnected) => Err(LinkError::Gone),
        }
    }
}

fn link_error(error: Error) -> LinkError {
    match error {
        Error::RemovedCard
        | Error::NoSmartcard
        | Error::ResetCard
        | Error::UnpoweredCard
        | Error::UnresponsiveCard
        | Error::ReaderUnavailable
        | Error::UnknownReader => LinkError::Gone,
        error => LinkError::Io { source: io::Error::other(error) },
    }
}
