//! The local link: APDUs over loopback TCP, each frame a big-endian `u32` length and so many bytes.
//!
//! Neither end trusts the other: lengths are checked before a byte is read, and every wait for an
//! APDU ends, however slowly its bytes come.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::transport::{Exchanged, Transport};

/// Bytes in one APDU on the link: an extended-length APDU and its header and trailer.
pub const FRAME_BYTES_MAX: usize = 65_536 + 16;
/// How long either end waits for the other, unless it is told another time.
pub const WAIT: Duration = Duration::from_secs(5);

/// The reader's end before a phone has come: a field that waits.
pub struct Field {
    socket: TcpListener,
}

/// One phone in the field of one reader: either end of an open link.
pub struct Link {
    stream: TcpStream,
    wait: Duration,
}

/// Why the link failed.
#[derive(Debug)]
pub enum LinkError {
    /// The address does not lie on loopback.
    NotLoopback {
        /// Which.
        address: SocketAddr,
    },
    /// A frame longer than [`FRAME_BYTES_MAX`] was announced or asked for.
    FrameTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The other end is gone: the phone left the field.
    Gone,
    /// The system failed, or a wait came to its end.
    Io {
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoopback { address } => {
                write!(f, "local link at `{address}` is not on loopback")
            }
            Self::FrameTooLong { bytes } => {
                write!(f, "APDU of {bytes} bytes exceeds {FRAME_BYTES_MAX}")
            }
            Self::Gone => f.write_str("the phone left the field"),
            Self::Io { .. } => f.write_str("local link failed"),
        }
    }
}

impl std::error::Error for LinkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source } => Some(source),
            _ => None,
        }
    }
}

impl From<io::Error> for LinkError {
    fn from(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::Gone,
            _ => Self::Io { source },
        }
    }
}

impl Field {
    /// Opens the field on loopback, at `port` or at a free one for 0.
    ///
    /// # Errors
    /// [`LinkError::Io`] if the port is taken.
    pub fn open(port: u16) -> Result<Self, LinkError> {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Ok(Self { socket: TcpListener::bind(address)? })
    }

    /// Where phones find it.
    ///
    /// # Errors
    /// [`LinkError::Io`] of the system.
    pub fn address(&self) -> Result<SocketAddr, LinkError> {
        Ok(self.socket.local_addr()?)
    }

    /// Waits for the next phone.
    ///
    /// # Errors
    /// [`LinkError::Io`] of the system.
    pub fn accept(&self) -> Result<Link, LinkError> {
        let (stream, _) = self.socket.accept()?;
        Link::over(stream)
    }
}

impl Link {
    /// Brings the phone into the field at `address`.
    ///
    /// # Errors
    /// [`LinkError::NotLoopback`]; [`LinkError::Io`] if no reader listens there.
    pub fn connect(address: SocketAddr) -> Result<Self, LinkError> {
        if !address.ip().is_loopback() {
            return Err(LinkError::NotLoopback { address });
        }
        Self::over(TcpStream::connect_timeout(&address, WAIT)?)
    }

    /// How long this end waits for an APDU to come or to go.
    #[must_use]
    pub const fn wait(&self) -> Duration {
        self.wait
    }

    /// Waits for so long from now on.
    pub const fn set_wait(&mut self, wait: Duration) {
        self.wait = wait;
    }

    /// Sends one APDU.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn send(&mut self, apdu: &[u8]) -> Result<(), LinkError> {
        let length = u32::try_from(apdu.len()).unwrap_or(u32::MAX);
        if apdu.len() > FRAME_BYTES_MAX {
            return Err(LinkError::FrameTooLong { bytes: apdu.len() });
        }
        // One write, so that length and content do not wait for each other's acknowledgement.
        let frame = [&length.to_be_bytes()[..], apdu].concat();
        let end = Instant::now() + self.wait;
        let mut rest = frame.as_slice();
        while !rest.is_empty() {
            self.stream.set_write_timeout(Some(remaining(end)?))?;
            let sent = ended(self.stream.write(rest))?;
            rest = rest.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    /// Waits for one APDU.
    ///
    /// # Errors
    /// [`LinkError`]; [`LinkError::Gone`] when the other end has closed.
    pub fn receive(&mut self) -> Result<Vec<u8>, LinkError> {
        self.receive_within(self.wait)
    }

    /// Waits for one APDU for so long, from its first byte to its last.
    ///
    /// # Errors
    /// [`LinkError`]; [`LinkError::Gone`] when the other end has closed.
    pub fn receive_within(&mut self, wait: Duration) -> Result<Vec<u8>, LinkError> {
        let end = Instant::now() + wait;
        let mut length = [0; 4];
        self.fill(&mut length, end)?;
        let bytes = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if bytes > FRAME_BYTES_MAX {
            return Err(LinkError::FrameTooLong { bytes });
        }
        let mut apdu = vec![0; bytes];
        self.fill(&mut apdu, end)?;
        Ok(apdu)
    }

    fn fill(&mut self, mut rest: &mut [u8], end: Instant) -> Result<(), LinkError> {
        while !rest.is_empty() {
            self.stream.set_read_timeout(Some(remaining(end)?))?;
            let came = ended(self.stream.read(rest))?;
            rest = rest.get_mut(came..).unwrap_or_default();
        }
        Ok(())
    }

    fn over(stream: TcpStream) -> Result<Self, LinkError> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, wait: WAIT })
    }
}

impl Transport for Link {
    fn exchange(&mut self, command: &[u8], wait: Duration) -> Result<Exchanged, LinkError> {
        let wait = wait.min(self.wait);
        let begin = Instant::now();
        self.send(command)?;
        let response = self.receive_within(wait)?;
        Ok(Exchanged { response, took: begin.elapsed() })
    }
}

/// What is left of a wait; never zero, which would mean for ever.
pub(crate) fn remaining(end: Instant) -> Result<Duration, LinkError> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        let source = io::Error::new(io::ErrorKind::TimedOut, "the other end was too slow");
        return Err(LinkError::Io { source });
    }
    Ok(left)
}

/// Bytes that came or went: none if the wait was interrupted or came to its end, which
/// [`remaining`] then tells.
pub(crate) fn ended(moved: io::Result<usize>) -> Result<usize, LinkError> {
    use io::ErrorKind as Kind;
    match moved {
        Ok(0) => Err(LinkError::Gone),
        Ok(bytes) => Ok(bytes),
        Err(error) => match error.kind() {
            Kind::Interrupted | Kind::WouldBlock | Kind::TimedOut => Ok(0),
            _ => Err(error.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn pair() -> (Link, Link) {
        let field = Field::open(0).unwrap();
        let address = field.address().unwrap();
        let phone = thread::spawn(move || Link::connect(address).unwrap());
        (field.accept().unwrap(), phone.join().unwrap())
    }

    #[test]
    fn an_apdu_arrives_as_it_was_sent() {
        let (mut reader, mut phone) = pair();
        for apdu in [&b""[..], b"\x00\xa4\x04\x00", &[7; 4096]] {
            reader.send(apdu).unwrap();
            assert_eq!(phone.receive().unwrap(), apdu);
        }
        let longest = vec![1; FRAME_BYTES_MAX];
        let sent = thread::spawn(move || reader.send(&longest).map(|()| reader));
        assert_eq!(phone.receive().unwrap().len(), FRAME_BYTES_MAX);
        drop(sent.join().unwrap());
    }

    #[test]
    fn a_frame_past_the_limit_is_refused_before_it_is_read() {
        let (mut reader, mut phone) = pair();
        let error = reader.send(&vec![0; FRAME_BYTES_MAX + 1]).unwrap_err();
        assert!(matches!(error, LinkError::FrameTooLong { .. }));
        reader.stream.write_all(&u32::MAX.to_be_bytes()).unwrap();
        assert!(matches!(phone.receive().unwrap_err(), LinkError::FrameTooLong { .. }));
    }

    #[test]
    fn a_phone_that_leaves_is_noticed() {
        let (mut reader, phone) = pair();
        drop(phone);
        assert!(matches!(reader.receive().unwrap_err(), LinkError::Gone));
    }

    #[test]
    fn a_silent_and_a_slow_peer_are_left_alone() {
        let (mut reader, mut phone) = pair();
        reader.set_wait(Duration::from_millis(20));
        let is_late = |error: &LinkError| match error {
            LinkError::Io { source } => source.kind() == io::ErrorKind::TimedOut,
            _ => false,
        };
        assert!(is_late(&reader.receive().unwrap_err()));
        // One byte after another: the wait is for the whole APDU, not for each of them.
        let dripping = thread::spawn(move || {
            let length = u32::try_from(FRAME_BYTES_MAX).unwrap();
            phone.stream.write_all(&length.to_be_bytes()).unwrap();
            while phone.stream.write_all(&[1]).is_ok() {}
        });
        assert!(is_late(&reader.receive().unwrap_err()));
        assert!(is_late(&reader.receive_within(Duration::ZERO).unwrap_err()));
        drop(reader);
        dripping.join().unwrap();
    }

    #[test]
    fn a_peer_that_takes_nothing_is_left_alone() {
        let (mut reader, phone) = pair();
        reader.set_wait(Duration::from_millis(20));
        let apdu = vec![0; FRAME_BYTES_MAX];
        let error = (0..10_000).find_map(|_| reader.send(&apdu).err()).unwrap();
        assert!(matches!(error, LinkError::Io { .. }), "{error:?}");
        drop(phone);
    }

    #[test]
    fn only_loopback_is_called() {
        let address = "192.0.2.1:9".parse().unwrap();
        assert!(matches!(Link::connect(address), Err(LinkError::NotLoopback { .. })));
    }
}
