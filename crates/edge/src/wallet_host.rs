//! A wallet on a machine: its state and device keys, sealed in a folder, and the local link.
//!
//! The folder of a wallet: `wallet.sealed`, an array of two sealed byte strings (CBOR), the device
//! keys and the state (passes, trust, log), in one file so that neither is ever older than the
//! other. Both are sealed under a key of 32 bytes that lies elsewhere, which its owner should keep
//! in the keychain of the system. One process at a time works in a folder.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use credential::cbor::{CborError, Decoder, Encoder};
use credential::crypto::{BadKey, Crypto, P256Secret};
use presentation::apdu::LinkLimits;
use vocabulary::time::Instant;
use wallet::choose::Proposal;
use wallet::software::{self, SoftwareElement};
use wallet::state::{self, State};
use wallet::tap::{Consent, Hands, Input, Output, Shown, Tap, TapError};

use crate::file;
use crate::link::{Link, LinkError};
use crate::lock::Lock;

const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
const FILE: &str = "wallet.sealed";

/// A wallet that is open.
pub struct WalletHost {
    folder: PathBuf,
    _lock: Lock,
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
    /// Another process works in the folder.
    Locked {
        /// Which folder.
        folder: PathBuf,
    },
    /// The file is none that this version wrote.
    Damaged {
        /// Which file.
        file: PathBuf,
    },
    /// The state does not open.
    State {
        /// In which file.
        file: PathBuf,
        /// Why.
        source: state::OpenError,
    },
    /// The device keys do not open.
    Element {
        /// In which file.
        file: PathBuf,
        /// Why.
        source: software::OpenError,
    },
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
            Self::Locked { folder } => {
                write!(f, "another process works with the wallet in `{}`", folder.display())
            }
            Self::Damaged { file } => {
                write!(f, "the wallet's file `{}` is damaged", file.display())
            }
            Self::State { file, .. } | Self::Element { file, .. } => {
                write!(f, "cannot open the wallet's file `{}`", file.display())
            }
            Self::Secret(_) => f.write_str("cannot begin a session"),
            Self::Link(_) => f.write_str("cannot reach the reader"),
        }
    }
}

impl std::error::Error for WalletError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(source) => Some(source),
            Self::State { source, .. } => Some(source),
            Self::Element { source, .. } => Some(source),
            Self::Secret(source) => Some(source),
            Self::Link(source) => Some(source),
            _ => None,
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
        file::make_folder(folder)?;
        let lock = lock(folder)?;
        if folder.join(FILE).exists() {
            return Err(WalletError::Present { folder: folder.into() });
        }
        let (state, element) = (State::default(), SoftwareElement::new());
        let host = Self { folder: folder.into(), _lock: lock, key, state, element };
        host.save(crypto, nonces)?;
        Ok(host)
    }

    /// Opens the wallet of `folder`.
    ///
    /// # Errors
    /// [`WalletError`]; [`WalletError::Locked`] while another process has it open.
    pub fn open(folder: &Path, crypto: &dyn Crypto, key: [u8; 32]) -> Result<Self, WalletError> {
        let absent = || WalletError::Absent { folder: folder.into() };
        let file = folder.join(FILE);
        if !file.exists() {
            return Err(absent());
        }
        let lock = lock(folder)?;
        let bytes = file::read(&file, FILE_BYTES_MAX)?.ok_or_else(absent)?;
        let (element, state) =
            split(&bytes).map_err(|_| WalletError::Damaged { file: file.clone() })?;
        let state = State::open(crypto, &key, state)
            .map_err(|source| WalletError::State { file: file.clone(), source })?;
        let element = SoftwareElement::open(crypto, &key, element)
            .map_err(|source| WalletError::Element { file, source })?;
        Ok(Self { folder: folder.into(), _lock: lock, key, state, element })
    }

    /// Writes everything, or nothing.
    ///
    /// # Errors
    /// [`WalletError::File`]; what was stored before is still there.
    pub fn save(&self, crypto: &dyn Crypto, nonces: [[u8; 12]; 2]) -> Result<(), WalletError> {
        let file = File { folder: &self.folder, key: &self.key, element: &self.element };
        Ok(file.write(crypto, &self.state, nonces)?)
    }

    /// Holds the phone to the reader at the other end of `link`. `decide` is the owner; `secret`
    /// must be fresh. What was shown stands in the log; save the wallet afterwards. What an express tap
    /// changes is written before its answers leave.
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
                match output {
                    Output::Response(apdu) => {
                        if link.send(&apdu).is_err() {
                            self.handle(crypto, &mut tap, clock(), Input::LinkLost);
                        }
                    }
                    Output::Ask(proposal) => {
                        let consent = decide(&proposal);
                        self.handle(crypto, &mut tap, clock(), Input::Consent(consent));
                    }
                    Output::Finished(result) => finished = Some(result),
                }
            }
            if let Some(result) = finished {
                return Ok(result);
            }
            let received = link.receive();
            let input = received.as_deref().map_or(Input::LinkLost, Input::Command);
            self.handle(crypto, &mut tap, clock(), input);
        }
    }

    /// Gives `tap` one input, with this wallet to work with.
    pub(crate) fn handle(
        &mut self,
        crypto: &dyn Crypto,
        tap: &mut Tap,
        now: Instant,
        input: Input<'_>,
    ) {
        let file = File { folder: &self.folder, key: &self.key, element: &self.element };
        let mut hands = Hands {
            crypto,
            state: &mut self.state,
            element: &self.element,
            keep: &mut |state| file.keep(crypto, state),
            entropy: &mut fresh::<32>,
        };
        tap.handle(&mut hands, now, input);
    }
}

/// The one file of a wallet.
struct File<'h> {
    folder: &'h Path,
    key: &'h [u8; 32],
    element: &'h SoftwareElement,
}

impl File<'_> {
    fn write(&self, crypto: &dyn Crypto, state: &State, nonces: [[u8; 12]; 2]) -> io::Result<()> {
        let [first, second] = nonces;
        let element = self.element.seal(crypto, self.key, first);
        let state = state.seal(crypto, self.key, second);
        let mut encoder = Encoder::new();
        encoder.array(2).bytes(&element).bytes(&state);
        file::replace(&self.folder.join(FILE), encoder.as_bytes())
    }

    /// Whether `state` is durable now.
    fn keep(&self, crypto: &dyn Crypto, state: &State) -> bool {
        let (Some(first), Some(second)) = (fresh(), fresh()) else { return false };
        self.write(crypto, state, [first, second]).is_ok()
    }
}

/// Fresh entropy, if the generator gives any.
fn fresh<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).ok().map(|()| bytes)
}

fn lock(folder: &Path) -> Result<Lock, WalletError> {
    Lock::take(folder)?.ok_or_else(|| WalletError::Locked { folder: folder.into() })
}

/// The sealed device keys and the sealed state.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), CborError> {
    let mut decoder = Decoder::new(bytes)?;
    decoder.array_of(2)?;
    let parts = (decoder.bytes()?, decoder.bytes()?);
    decoder.finish()?;
    Ok(parts)
}

/// A tap for the local link, which carries extended-length APDUs.
///
/// # Errors
/// [`WalletError::Secret`]; draw another.
pub fn tap(crypto: &dyn Crypto, now: Instant, secret: P256Secret) -> Result<Tap, WalletError> {
    Tap::new(crypto, now, secret, LinkLimits::EXTENDED).map_err(WalletError::Secret)
}
