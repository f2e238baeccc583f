//! The local link: APDUs over loopback TCP, each frame a big-endian `u32` length and so many bytes.
//!
//! Neither end trusts the other: lengths are checked before a byte is read, and every wait ends.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Bytes in one APDU on the link: an extended-length APDU and its header and trailer.
pub const FRAME_BYTES_MAX: usize = 65_536 + 16;
/// How long either end waits for the other.
pub const WAIT: Duration = Duration::from_secs(5);

/// The reader's end before a phone has come: a field that waits.
pub struct Field {
    socket: TcpListener,
}

/// One phone in the field of one reader: either end of an open link.
pub struct Link {
    stream: TcpStream,
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
        Ok(self.stream.write_all(&frame)?)
    }

    /// Waits for one APDU.
    ///
    /// # Errors
    /// [`LinkError`]; [`LinkError::Gone`] when the other end has closed.
    pub fn receive(&mut self) -> Result<Vec<u8>, LinkError> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let bytes = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if bytes > FRAME_BYTES_MAX {
            return Err(LinkError::FrameTooLong { bytes });
        }
        let mut apdu = vec![0; bytes];
        self.stream.read_exact(&mut apdu)?;
        Ok(apdu)
    }

    fn over(stream: TcpStream) -> Result<Self, LinkError> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(WAIT))?;
        stream.set_write_timeout(Some(WAIT))?;
        Ok(Self { stream })
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
    fn only_loopback_is_called() {
        let address = "192.0.2.1:9".parse().unwrap();
        assert!(matches!(Link::connect(address), Err(LinkError::NotLoopback { .. })));
    }
}
