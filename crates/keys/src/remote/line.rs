//! The connection of a client: made, lost, and made again.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Weak;
use std::time::Duration;

use aws_lc_rs::rand;
use tokio::io::{AsyncWriteExt, BufReader, BufWriter};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, timeout};

use super::{Call, LOOK_EVERY, Lost, Settings, Shared};
use crate::wire::frame::{self, Channel, FRAME_BYTES_MAX, FRAME_PATIENCE, HELLO_BYTES_MAX};
use crate::wire::handshake::{self, Connection, HandshakeError, NONCE_BYTES, Nonce};
use crate::wire::message::{Answer, read_answer};
use crate::wire::socket;

/// Requests of which the answers are awaited at the same time; the next one waits.
const IN_FLIGHT_MAX: usize = 256;
/// How long a connection may take to be made.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// The first pause between two attempts to connect; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest pause: who asks meanwhile is told at once that there is no connection.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A connection on which both ends know each other.
pub(super) struct Line {
    from: BufReader<OwnedReadHalf>,
    to: BufWriter<OwnedWriteHalf>,
    connection: Connection,
}

/// Connects, and proves and is proved who is there.
pub(super) async fn open(settings: &Settings) -> Result<Line, ConnectError> {
    timeout(CONNECT_PATIENCE, greet(settings)).await.map_err(|_| ConnectError::Silent)?
}

async fn greet(settings: &Settings) -> Result<Line, ConnectError> {
    let stream = socket::connect(&settings.socket, settings.uid).await;
    let (from, to) = stream.map_err(ConnectError::Socket)?.into_split();
    let (mut from, mut to) = (BufReader::new(from), BufWriter::new(to));
    let hello = message(&mut from).await?;
    let mut nonce: Nonce = [0; NONCE_BYTES];
    rand::fill(&mut nonce).map_err(|_| ConnectError::Random)?;
    let claimed = handshake::claim(&hello, &settings.pairing, &nonce);
    let (claim, claiming) = claimed.map_err(ConnectError::Handshake)?;
    to.write_all(&frame::plain(&claim)).await.map_err(ConnectError::Socket)?;
    to.flush().await.map_err(ConnectError::Socket)?;
    let proof = message(&mut from).await?;
    let connection = claiming.conclude(&proof).map_err(ConnectError::Handshake)?;
    Ok(Line { from, to, connection })
}

async fn message(from: &mut BufReader<OwnedReadHalf>) -> Result<Vec<u8>, ConnectError> {
    let read = frame::read(from, HELLO_BYTES_MAX).await;
    let read = read.map_err(|_| ConnectError::Handshake(HandshakeError::Form))?;
    read.ok_or(ConnectError::Gone)
}

/// Carries calls to the service until nobody can make any more.
pub(super) async fn run(
    settings: Settings,
    first: Line,
    mut calls: mpsc::Receiver<Call>,
    shared: Weak<Shared>,
) {
    let mut line = Some(first);
    let mut pause = PAUSE_MIN;
    loop {
        let opened = match line.take() {
            Some(line) => Ok(line),
            None => open(&settings).await,
        };
        match opened {
            Ok(line) => {
                pause = PAUSE_MIN;
                let Some(known) = shared.upgrade() else { return };
                known.note_connection(true);
                drop(known);
                if carry(line, &mut calls, &shared).await.is_break() {
                    return;
                }
                tracing::warn!("the key service is gone");
                let Some(shared) = shared.upgrade() else { return };
                shared.note_connection(false);
                // What answers next may be another process with other keys.
                shared.doubt();
            }
            Err(error) => {
                tracing::debug!(%error, "the key service is away");
                if refuse_for(pause, &mut calls).await.is_break() {
                    return;
                }
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// Tells whoever asks within `pause` that there is no connection.
async fn refuse_for(
    pause: Duration,
    calls: &mut mpsc::Receiver<Call>,
) -> std::ops::ControlFlow<()> {
    let until = Instant::now() + pause;
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(until) => return std::ops::ControlFlow::Continue(()),
            call = calls.recv() => match call {
                // Who asked may have gone.
                Some(call) => drop(call.answer.send(Err(Lost))),
                None => return std::ops::ControlFlow::Break(()),
            },
        }
    }
}

type Awaited = HashMap<u64, oneshot::Sender<Result<Answer, Lost>>>;

/// Carries calls over one connection. Breaks off when nobody can call any more, goes on when the
/// connection is lost.
async fn carry(
    line: Line,
    calls: &mut mpsc::Receiver<Call>,
    shared: &Weak<Shared>,
) -> std::ops::ControlFlow<()> {
    use std::ops::ControlFlow::{Break, Continue};
    let Line { from, mut to, connection: Connection { mut out, into } } = line;
    let (answers, mut answered) = mpsc::channel(IN_FLIGHT_MAX);
    let reader = Reader(tokio::spawn(read(from, into, answers)));
    let mut awaited = Awaited::new();
    let mut looks = interval(LOOK_EVERY);
    let end = loop {
        tokio::select! {
            call = calls.recv(), if awaited.len() < IN_FLIGHT_MAX => {
                let Some(call) = call else { break Break(()) };
                let sent = send(&mut to, &mut out, call, calls, &mut awaited);
                // A service that takes nothing any more is as good as gone.
                if !matches!(timeout(FRAME_PATIENCE, sent).await, Ok(Ok(()))) {
                    break Continue(());
                }
            }
            answer = answered.recv() => {
                let Some(answer) = answer else { break Continue(()) };
                let Some(shared) = shared.upgrade() else { break Break(()) };
                if !shared.is_at(answer.version) {
                    look(shared);
                }
                if let Some(caller) = awaited.remove(&answer.id) {
                    // Who asked may have gone.
                    let _ = caller.send(Ok(answer));
                }
            }
            _ = looks.tick() => {
                let Some(shared) = shared.upgrade() else { break Break(()) };
                look(shared);
            }
        }
    };
    drop(reader);
    // Dropping the senders tells everyone who still waits.
    end
}

/// Brings the list up to date in the background, unless somebody is doing so.
fn look(shared: std::sync::Arc<Shared>) {
    if shared.looking.try_lock().is_ok() {
        tokio::spawn(async move {
            // The next answer or the next tick asks again.
            let _ = shared.look().await;
        });
    }
}

/// Sends a call and those that wait behind it, then flushes.
async fn send(
    to: &mut BufWriter<OwnedWriteHalf>,
    out: &mut Channel,
    call: Call,
    calls: &mut mpsc::Receiver<Call>,
    awaited: &mut Awaited,
) -> io::Result<()> {
    let mut next = Some(call);
    while let Some(Call { id, body, answer }) = next.take() {
        awaited.insert(id, answer);
        to.write_all(&out.seal(&body)).await?;
        if awaited.len() < IN_FLIGHT_MAX {
            next = calls.try_recv().ok();
        }
    }
    to.flush().await
}

/// A task that ends with who holds this.
struct Reader(JoinHandle<()>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn read(
    mut from: BufReader<OwnedReadHalf>,
    mut into: Channel,
    answers: mpsc::Sender<Answer>,
) {
    loop {
        let frame = frame::read(&mut from, FRAME_BYTES_MAX).await;
        let body = frame.and_then(|frame| frame.map(|frame| into.open(frame)).transpose());
        let answer = match body {
            Ok(Some(body)) => read_answer(&body),
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "the connection to the key service is given up");
                return;
            }
        };
        match answer {
            Ok(answer) => {
                if answers.send(answer).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the key service gives an answer that is not understood");
                return;
            }
        }
    }
}

/// Why there is no connection to the key service.
#[derive(Debug)]
pub enum ConnectError {
    /// The socket is not there, nobody listens, or somebody else does.
    Socket(io::Error),
    /// One of the two ends is not who it should be.
    Handshake(HandshakeError),
    /// The service has closed the connection.
    Gone,
    /// The service does not answer.
    Silent,
    /// The random generator failed.
    Random,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Socket(_) => {
                "connect to key service: it does not listen there: start `limen key serve`"
            }
            Self::Handshake(error) => return error.fmt(f),
            Self::Gone => "connect to key service: it has closed the connection",
            Self::Silent => "connect to key service: it does not answer",
            Self::Random => "connect to key service: the random generator failed",
        })
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Socket(source) => Some(source),
            _ => None,
        }
    }
}
