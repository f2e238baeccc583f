//! The card's side of `vpcd`, the virtual reader of the vsmartcard project: a card or a phone in
//! software that a real PC/SC service sees in a reader.
//!
//! The card connects over TCP. A frame is a big-endian `u16` length and so many bytes. One byte is a
//! control (power off, power on, reset, tell the ATR; only the last is answered), anything else a
//! command APDU, answered by a response APDU.
//!
//! For tests and trials. Whoever reaches the port of `vpcd`, which listens on all interfaces, is a card
//! in its reader: nothing that guards a door may run it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use presentation::apdu::{LinkLimits, StatusWord};

use crate::link::{LinkError, WAIT, ended, remaining};

/// Where `vpcd` awaits the first card, unless it was told otherwise.
pub const PORT: u16 = 35_963;
/// Historical bytes in an ATR (ISO/IEC 7816-3, 8.2.4).
pub const HISTORICAL_BYTES_MAX: usize = 15;
/// Data bytes of one command that a card behind `vpcd` takes; a frame holds 65,535 bytes in all.
pub const COMMAND_DATA_BYTES: u16 = 4_096;
/// Data bytes of one response of such a card.
pub const RESPONSE_DATA_BYTES: u32 = 16_384;

const RECONNECT_FIRST: Duration = Duration::from_millis(50);
const RECONNECT_LAST: Duration = Duration::from_secs(1);

/// What answers commands: an applet of a card, or the part of a phone that emulates one.
pub trait CardApplication {
    /// The card lost power or was reset: whatever session there was is over.
    fn reset(&mut self);

    /// Answers one command APDU by a response APDU, whatever its bytes are.
    fn command(&mut self, apdu: &[u8]) -> Vec<u8>;

    /// Whether it leaves the reader by itself now. A card does not.
    fn is_over(&self) -> bool {
        false
    }
}

/// A card in a reader of `vpcd`; dropping it takes the card out.
pub struct Inserted {
    stream: TcpStream,
    atr: Vec<u8>,
}

/// Takes an inserted card out, from anywhere.
pub struct Hand(TcpStream);

impl Hand {
    /// Pulls the card.
    pub fn pull(&self) {
        // A card that is out already cannot be pulled.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// What a card behind `vpcd` can carry.
#[must_use]
pub fn limits() -> LinkLimits {
    // INVARIANT: both lie within what the standard allows.
    LinkLimits::new(COMMAND_DATA_BYTES.into(), RESPONSE_DATA_BYTES.into())
        .unwrap_or(LinkLimits::SHORT)
}

/// The ATR under which PC/SC shows a contactless card (PC/SC part 3, 3.1.3.2.3): T=1 and the
/// historical bytes, of which those past [`HISTORICAL_BYTES_MAX`] are left out.
#[must_use]
pub fn contactless_atr(historical: &[u8]) -> Vec<u8> {
    let historical = historical.get(..HISTORICAL_BYTES_MAX).unwrap_or(historical);
    // INVARIANT: the length fits the low half of T0.
    let t0 = 0x80 | u8::try_from(historical.len()).unwrap_or_default();
    let mut atr = [&[0x3B, t0, 0x80, 0x01], historical].concat();
    let check = atr.iter().skip(1).fold(0, |check, byte| check ^ byte);
    atr.push(check);
    atr
}

impl Inserted {
    /// Puts a card into the reader whose `vpcd` listens at `address`, with an ATR of these historical
    /// bytes.
    ///
    /// # Errors
    /// [`LinkError::NotLoopback`]: a pass that is shown over a network is a relay. [`LinkError::Io`] if
    /// no `vpcd` listens there.
    pub fn insert(address: SocketAddr, historical: &[u8]) -> Result<Self, LinkError> {
        if !address.ip().is_loopback() {
            return Err(LinkError::NotLoopback { address });
        }
        let stream = TcpStream::connect_timeout(&address, WAIT)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, atr: contactless_atr(historical) })
    }

    /// What can pull this card.
    ///
    /// # Errors
    /// [`LinkError::Io`] of the system.
    pub fn hand(&self) -> Result<Hand, LinkError> {
        Ok(Hand(self.stream.try_clone()?))
    }

    /// Answers the reader until the card leaves by itself.
    ///
    /// # Errors
    /// [`LinkError::Gone`] when the card was pulled or the service has ended; the application was reset
    /// then. [`LinkError::Io`] for a frame that breaks off.
    pub fn serve(&mut self, card: &mut dyn CardApplication) -> Result<(), LinkError> {
        while !card.is_over() {
            let frame = self.receive();
            let frame = frame.inspect_err(|_| card.reset())?;
            match frame.as_slice() {
                [0..=2] => card.reset(),
                [4] => self.send(&self.atr)?,
                // Nothing of one byte is a command.
                [] | [_] => {}
                apdu => {
                    let response = card.command(apdu);
                    self.send(&response).inspect_err(|_| card.reset())?;
                }
            }
        }
        Ok(())
    }

    fn receive(&self) -> Result<Vec<u8>, LinkError> {
        let mut length = [0; 2];
        let (first, rest) = length.split_at_mut(1);
        // A card lies in its reader for as long as it likes; a frame that has begun must come.
        self.fill(first, None)?;
        let end = Some(Instant::now() + WAIT);
        self.fill(rest, end)?;
        let mut frame = vec![0; usize::from(u16::from_be_bytes(length))];
        self.fill(&mut frame, end)?;
        Ok(frame)
    }

    fn fill(&self, mut rest: &mut [u8], end: Option<Instant>) -> Result<(), LinkError> {
        while !rest.is_empty() {
            self.stream.set_read_timeout(end.map(remaining).transpose()?)?;
            acknowledge_at_once(&self.stream)?;
            let came = ended((&self.stream).read(rest))?;
            rest = rest.get_mut(came..).unwrap_or_default();
        }
        Ok(())
    }

    fn send(&self, response: &[u8]) -> Result<(), LinkError> {
        let failure = StatusWord::FAILURE.0.to_be_bytes();
        let (length, response) = match u16::try_from(response.len()) {
            Ok(length) if length >= 2 => (length, response),
            _ => (2, &failure[..]),
        };
        // One write, so that length and content do not wait for each other's acknowledgement.
        self.stream.set_write_timeout(Some(WAIT))?;
        Ok((&self.stream).write_all(&[&length.to_be_bytes(), response].concat())?)
    }
}

/// As [`Inserted::serve`], and back in the reader whenever the service has ended and begun anew.
///
/// # Errors
/// [`LinkError`] if there is no `vpcd` to begin with.
pub fn stay(
    address: SocketAddr,
    historical: &[u8],
    card: &mut dyn CardApplication,
) -> Result<(), LinkError> {
    let mut inserted = Inserted::insert(address, historical)?;
    loop {
        if inserted.serve(card).is_ok() || card.is_over() {
            return Ok(());
        }
        let mut pause = RECONNECT_FIRST;
        inserted = loop {
            std::thread::sleep(pause);
            match Inserted::insert(address, historical) {
                Ok(inserted) => break inserted,
                Err(_) => pause = (pause * 2).min(RECONNECT_LAST),
            }
        };
    }
}

/// `vpcd` 3.3 writes length and content by themselves, and the second write waits until the first is
/// acknowledged: 40 ms for each APDU unless that happens at once. The system forgets it after a while.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn acknowledge_at_once(stream: &TcpStream) -> std::io::Result<()> {
    #[cfg(target_os = "android")]
    use std::os::android::net::TcpStreamExt;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::TcpStreamExt;
    stream.set_quickack(true)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[allow(clippy::unnecessary_wraps, reason = "the other form of this function can fail")]
const fn acknowledge_at_once(_: &TcpStream) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Counts resets and echoes; leaves at `FF`.
    #[derive(Default)]
    struct Echo {
        resets: usize,
        is_over: bool,
    }

    impl CardApplication for Echo {
        fn reset(&mut self) {
            self.resets += 1;
        }

        fn command(&mut self, apdu: &[u8]) -> Vec<u8> {
            self.is_over = apdu[0] == 0xFF;
            [apdu, &[0x90, 0]].concat()
        }

        fn is_over(&self) -> bool {
            self.is_over
        }
    }

    /// A card, what becomes of it, and the other end of its line.
    fn served(run: impl FnOnce(&mut TcpStream)) -> (Echo, Result<(), LinkError>) {
        let vpcd = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = vpcd.local_addr().unwrap();
        std::thread::scope(|scope| {
            let card = scope.spawn(move || {
                let mut echo = Echo::default();
                let ended = Inserted::insert(address, b"Limen").unwrap().serve(&mut echo);
                (echo, ended)
            });
            let (mut stream, _) = vpcd.accept().unwrap();
            run(&mut stream);
            drop(stream);
            card.join().unwrap()
        })
    }

    fn ask(stream: &mut TcpStream, frame: &[u8]) -> Vec<u8> {
        let length = u16::try_from(frame.len()).unwrap().to_be_bytes();
        stream.write_all(&length).unwrap();
        stream.write_all(frame).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).unwrap();
        answer
    }

    #[test]
    fn atr_is_that_of_a_contactless_card() {
        // The example of PC/SC part 3, a card without historical bytes.
        assert_eq!(contactless_atr(&[]), [0x3B, 0x80, 0x80, 0x01, 0x01]);
        let atr = contactless_atr(b"Limen");
        assert_eq!(atr[..4], [0x3B, 0x85, 0x80, 0x01]);
        assert_eq!(atr.iter().skip(1).fold(0, |sum, byte| sum ^ byte), 0);
        assert_eq!(contactless_atr(&[7; 40]).len(), 4 + HISTORICAL_BYTES_MAX + 1);
    }

    #[test]
    fn controls_and_commands_are_told_apart() {
        let (echo, ended) = served(|vpcd| {
            assert_eq!(ask(vpcd, &[4]), contactless_atr(b"Limen"));
            for silent in [&[][..], &[0], &[1], &[2], &[3], &[9]] {
                vpcd.write_all(&[&[0, u8::try_from(silent.len()).unwrap()], silent].concat())
                    .unwrap();
            }
            assert_eq!(ask(vpcd, &[0, 0xA4, 4, 0]), [0, 0xA4, 4, 0, 0x90, 0]);
            // The longest frame; its echo would not fit into one.
            assert_eq!(ask(vpcd, &vec![0; 65_535]), [0x6F, 0x00]);
            assert_eq!(ask(vpcd, &vec![0; 65_533]).len(), 65_535);
        });
        assert!(matches!(ended, Err(LinkError::Gone)));
        assert_eq!(echo.resets, 4, "off, on, reset, and the end");
    }

    #[test]
    fn card_leaves_when_it_is_over_or_pulled_or_the_frame_breaks_off() {
        let (_, ended) = served(|vpcd| assert_eq!(ask(vpcd, &[0xFF, 0]).len(), 4));
        assert!(ended.is_ok());
        for broken in [&[0][..], &[0, 5, 1]] {
            let (echo, ended) = served(|vpcd| vpcd.write_all(broken).unwrap());
            assert!(matches!(ended, Err(LinkError::Gone)) && echo.resets == 1);
        }
    }

    #[test]
    fn only_loopback_is_called() {
        let address = "192.0.2.1:35963".parse().unwrap();
        assert!(matches!(Inserted::insert(address, b""), Err(LinkError::NotLoopback { .. })));
    }
}
