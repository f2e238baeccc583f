//! A wallet on a machine: its state and device keys, sealed in a folder, and the local link.
//!
//! The folder of a wallet: `wallet.sealed` (passes, trust, log) and `element.sealed` (device keys),
//! both under a key of 32 bytes that lies elsewhere (`wallet.key` beside it by default, which its
//! owner should keep in the keychain of the system).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use credential::crypto::{BadKey, Crypto, P256Secret};
use presentation::apdu::LinkLimits;
use vocabulary::time::Instant;
use wallet::choose::Proposal;
use wallet::software::{self, SoftwareElement};
use wallet::state::{self, State};
use wallet::tap::{Consent, Hands, Input, Output, Shown, Tap, TapError};

use crate::file;
use crate::link::{Link, LinkError};

const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A wallet that is open.
pub struct WalletHost {
    folder: PathBuf,
    key: [u8; 32],
    /// Passes, trust and log.
    pub state: State,
    /// The device keys.
    pub element: SoftwareElement,
}

/// Why a wallet cannot work.
#[derive(Debug)]
pub enum WalletError {
    /// A file cannot be read or written.
    File(io::Error),
    /// The folder holds no wallet.
    Absent {
        /// Which folder.
        folder: PathBuf,
    },
    /// The folder holds a wallet already.
    Present {
        /// Which folder.
        folder: PathBuf,
    },
    /// The state does not open.
    State(state::OpenError),
    /// The device keys do not open.
    Element(software::OpenError),
    /// The session's secret was no scalar; try again.
    Secret(BadKey),
    /// The link broke before the tap was over.
    Link(LinkError),
}

impl fmt::Display for WalletError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(_) => f.write_str("cannot use the wallet's files"),
            Self::Absent { folder } => write!(f, "no wallet in `{}`", folder.display()),
            Self::Present { folder } => write!(f, "`{}` holds a wallet already", folder.display()),
            Self::State(_) | Self::Element(_) => f.write_str("cannot open the wallet"),
            Self::Secret(_) => f.write_str("cannot begin a session"),
            Self::Link(_) => f.write_str("cannot reach the reader"),
        }
    }
}

impl std::error::Error for WalletError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(source) => Some(source),
            Self::State(source) => Some(source),
            Self::Element(source) => Some(source),
            Self::Secret(source) => Some(source),
            Self::Link(source) => Some(source),
            Self::Absent { .. } | Self::Present { .. } => None,
        }
    }
}

impl From<io::Error> for WalletError {
    fn from(source: io::Error) -> Self {
        Self::File(source)
    }
}

impl WalletHost {
    /// Makes an empty wallet in `folder`, sealed under `key`.
    ///
    /// # Errors
    /// [`WalletError::Present`] where one is.
    pub fn create(
        folder: &Path,
        crypto: &dyn Crypto,
        key: [u8; 32],
        nonces: [[u8; 12]; 2],
    ) -> Result<Self, WalletError> {
        if folder.join("wallet.sealed").exists() {
            return Err(WalletError::Present { folder: folder.into() });
        }
        std::fs::create_dir_all(folder)?;
        let (state, element) = (State::default(), SoftwareElement::new());
        let host = Self { folder: folder.into(), key, state, element };
        host.save(crypto, nonces)?;
        Ok(host)
    }

    /// Opens the wallet of `folder`.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn open(folder: &Path, crypto: &dyn Crypto, key: [u8; 32]) -> Result<Self, WalletError> {
        let read = |name: &str| {
            let bytes = file::read(&folder.join(name), FILE_BYTES_MAX)?;
            bytes.ok_or_else(|| WalletError::Absent { folder: folder.into() })
        };
        let state =
            State::open(crypto, &key, &read("wallet.sealed")?).map_err(WalletError::State)?;
        let element = SoftwareElement::open(crypto, &key, &read("element.sealed")?)
            .map_err(WalletError::Element)?;
        Ok(Self { folder: folder.into(), key, state, element })
    }

    /// Writes everything. Keys go first: a document never lacks the key to which it is bound.
    ///
    /// # Errors
    /// [`WalletError::File`]; what was stored before is still there.
    pub fn save(&self, crypto: &dyn Crypto, nonces: [[u8; 12]; 2]) -> Result<(), WalletError> {
        let [first, second] = nonces;
        let element = self.element.seal(crypto, &self.key, first);
        file::replace(&self.folder.join("element.sealed"), &element)?;
        let state = self.state.seal(crypto, &self.key, second);
        Ok(file::replace(&self.folder.join("wallet.sealed"), &state)?)
    }

    /// Holds the phone to the reader at the other end of `link`. `decide` is the owner; `secret`
    /// must be fresh. What was shown stands in the log; save the wallet afterwards.
    ///
    /// # Errors
    /// [`WalletError`] if the tap could not even end.
    pub fn present(
        &mut self,
        link: &mut Link,
        crypto: &dyn Crypto,
        mut tap: Tap,
        clock: &dyn Fn() -> Instant,
        decide: &mut dyn FnMut(&Proposal) -> Consent,
    ) -> Result<Result<Shown, TapError>, WalletError> {
        let mut finished = None;
        // The holder bounds the commands of a session, so that this ends.
        loop {
            while let Some(output) = tap.poll_output() {
                let mut hands = Hands { crypto, state: &mut self.state, element: &self.element };
                match output {
                    Output::Response(apdu) => {
                        if link.send(&apdu).is_err() {
                            tap.handle(&mut hands, clock(), Input::LinkLost);
                        }
                    }
                    Output::Ask(proposal) => {
                        let consent = decide(&proposal);
                        tap.handle(&mut hands, clock(), Input::Consent(consent));
                    }
                    Output::Finished(result) => finished = Some(result),
                }
            }
            if let Some(result) = finished {
                return Ok(result);
            }
            let received = link.receive();
            let mut hands = Hands { crypto, state: &mut self.state, element: &self.element };
            match &received {
                Ok(apdu) => tap.handle(&mut hands, clock(), Input::Command(apdu)),
                Err(_) => tap.handle(&mut hands, clock(), Input::LinkLost),
            }
        }
    }
}

/// A tap for the local link, which carries extended-length APDUs.
///
/// # Errors
/// [`WalletError::Secret`]; draw another.
pub fn tap(crypto: &dyn Crypto, now: Instant, secret: P256Secret) -> Result<Tap, WalletError> {
    Tap::new(crypto, now, secret, LinkLimits::EXTENDED).map_err(WalletError::Secret)
}
