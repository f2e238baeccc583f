//! One connection: the handshake, then requests that are dealt with side by side.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use tokio::io::{AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::timeout;

use super::desk::{Desk, USES_BYTES_TO_READ, Visitor};
use super::serve::{BYTES_IN_FLIGHT_MAX, IN_FLIGHT_MAX};
use crate::wire::frame::{self, Channel, FRAME_BYTES_MAX, FRAME_PATIENCE, HELLO_BYTES_MAX};
use crate::wire::handshake::{self, Claim, Connection, HandshakeError, Nonce, TurnedAway};
use crate::wire::message::{Request, read_request, write_answer};
use crate::wire::pairing::Pairing;

/// How long a handshake may take.
pub(super) const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes are counted in parts of so many: a semaphore has few permits on small machines.
const PART_BYTES: usize = 1024;

/// An answer, and what its request takes of the connection's limits until it is written.
struct Due {
    answer: Vec<u8>,
    _taken: [OwnedSemaphorePermit; 2],
}

/// A client that the service knows.
pub(crate) struct Known {
    pub(crate) pairing: Pairing,
    pub(crate) uid: u32,
    pub(crate) visitor: Arc<Visitor>,
}

/// Turns somebody away who has said nothing yet.
pub(crate) async fn turn_away(mut stream: UnixStream, why: TurnedAway) {
    let frame = frame::plain(&why.message());
    // Who does not wait for the answer does not want it.
    let _ = timeout(HANDSHAKE_PATIENCE, stream.write_all(&frame)).await;
}

/// Talks with one client until it goes, breaks a rule, or `stop` turns true; then what is at hand is
/// still answered.
pub(crate) async fn talk(
    stream: UnixStream,
    uid: u32,
    clients: Arc<[Known]>,
    desk: Arc<Desk>,
    stop: watch::Receiver<bool>,
) {
    let (from, to) = stream.into_split();
    let (mut from, mut to) = (BufReader::new(from), BufWriter::new(to));
    let greeted = timeout(HANDSHAKE_PATIENCE, greet(&mut from, &mut to, uid, &clients)).await;
    let (visitor, Connection { out, into }) = match greeted {
        Ok(Ok(known)) => known,
        Ok(Err(reason)) => {
            tracing::warn!(uid, reason, "a connection was turned away");
            return;
        }
        Err(_) => {
            tracing::warn!(uid, "a connection was turned away: its handshake took too long");
            return;
        }
    };
    tracing::info!(client = visitor.name, "a client is connected");
    let (answers, queue) = mpsc::channel(IN_FLIGHT_MAX);
    let writer = tokio::spawn(write(to, out, queue));
    listen(&mut from, into, &visitor, &desk, answers, stop).await;
    // It ends with the last answer.
    let _ = writer.await;
    tracing::info!(client = visitor.name, "a client is gone");
}

async fn greet(
    from: &mut BufReader<OwnedReadHalf>,
    to: &mut BufWriter<OwnedWriteHalf>,
    uid: u32,
    clients: &[Known],
) -> Result<(Arc<Visitor>, Connection), &'static str> {
    let mut nonce: Nonce = [0; handshake::NONCE_BYTES];
    rand::fill(&mut nonce).map_err(|_| "there are no random bytes")?;
    send(to, &handshake::hello(&nonce)).await?;
    let claim = frame::read(from, HELLO_BYTES_MAX).await.map_err(|_| "its claim is not read")?;
    let claim = Claim::read(&claim.ok_or("it has gone")?).map_err(|_| "its claim is not read")?;
    let known = clients.iter().find(|known| known.pairing.name() == claim.name && known.uid == uid);
    let checked = known.ok_or(HandshakeError::Pairing).and_then(|known| {
        let (proof, connection) = claim.check(&known.pairing, &nonce)?;
        Ok((proof, Arc::clone(&known.visitor), connection))
    });
    match checked {
        Ok((proof, visitor, connection)) => {
            send(to, &proof).await?;
            Ok((visitor, connection))
        }
        Err(_) => {
            send(to, &TurnedAway::Pairing.message()).await?;
            Err("its name, its user and its secret do not belong together")
        }
    }
}

async fn send(to: &mut BufWriter<OwnedWriteHalf>, message: &[u8]) -> Result<(), &'static str> {
    let gone = |_| "it has gone";
    to.write_all(&frame::plain(message)).await.map_err(gone)?;
    to.flush().await.map_err(gone)
}

async fn listen(
    from: &mut BufReader<OwnedReadHalf>,
    mut into: Channel,
    visitor: &Arc<Visitor>,
    desk: &Arc<Desk>,
    answers: mpsc::Sender<Due>,
    mut stop: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    let room = Arc::new(Semaphore::new(BYTES_IN_FLIGHT_MAX / PART_BYTES));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let frame = tokio::select! {
            frame = frame::read(from, FRAME_BYTES_MAX) => frame,
            _ = stop.wait_for(|stop| *stop) => return,
            () = answers.closed() => return,
        };
        let opened = frame.and_then(|frame| frame.map(|frame| into.open(frame)).transpose());
        let body = match opened {
            Ok(Some(body)) => body,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(client = visitor.name, %error, "a connection is given up");
                return;
            }
        };
        let parts = parts_of(&body);
        let Ok(part) = Arc::clone(&room).acquire_many_owned(parts).await else { return };
        let (desk, visitor, answers) = (Arc::clone(desk), Arc::clone(visitor), answers.clone());
        tokio::spawn(async move {
            // What has a check value of ours and no number is a mistake of the client; it waits
            // for an answer that cannot be addressed.
            let Ok(asked) = read_request(&body) else { return };
            let answer = desk.answer(&visitor, asked.id, asked.request).await;
            // Fails when the client has gone.
            let _ = answers.send(Due { answer: write_answer(&answer), _taken: [slot, part] }).await;
        });
    }
}

/// What a request takes of [`BYTES_IN_FLIGHT_MAX`]: its own bytes, and those of the journal that are
/// read for it.
fn parts_of(body: &[u8]) -> u32 {
    let asked = read_request(body).ok().and_then(|asked| asked.request);
    let read = match asked {
        Some(Request::Uses { .. }) => USES_BYTES_TO_READ,
        _ => 0,
    };
    let parts = (body.len() + read).min(BYTES_IN_FLIGHT_MAX).div_ceil(PART_BYTES);
    u32::try_from(parts).unwrap_or(u32::MAX)
}

/// Writes answers as they come, flushing when none waits.
async fn write<W: AsyncWrite + Unpin>(
    mut to: BufWriter<W>,
    mut out: Channel,
    mut answers: mpsc::Receiver<Due>,
) {
    while let Some(due) = answers.recv().await {
        let written = async {
            to.write_all(&out.seal(&due.answer)).await?;
            if answers.is_empty() {
                to.flush().await?;
            }
            Ok::<(), std::io::Error>(())
        };
        // A client that does not take its answers is let go.
        match timeout(FRAME_PATIENCE, written).await {
            Ok(Ok(())) => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due() -> Due {
        let permit = || Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        Due { answer: vec![7; 9_000], _taken: [permit(), permit()] }
    }

    /// How many of thirty answers a client gets that takes one every `seconds`.
    async fn taken(seconds: u64) -> usize {
        let (service, mut client) = tokio::io::duplex(64);
        let (answers, queue) = mpsc::channel(IN_FLIGHT_MAX);
        for _ in 0..30 {
            answers.send(due()).await.unwrap();
        }
        drop(answers);
        tokio::spawn(write(BufWriter::new(service), Channel::new(&[1; 32]), queue));
        let mut taken = 0;
        loop {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            match frame::read(&mut client, FRAME_BYTES_MAX).await {
                Ok(Some(_)) => taken += 1,
                _ => return taken,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn patience_is_for_one_answer_and_not_for_all_that_wait() {
        assert_eq!(taken(1).await, 30);
        assert!(taken(FRAME_PATIENCE.as_secs() + 1).await < 2, "it takes none in time");
    }
}
