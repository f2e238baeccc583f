//! A secure element in software: a file, for readers without a chip and for tests.
//!
//! It says so itself: the first words of the file are [`TITLE`]. Nothing but the mode of the file keeps
//! its keys from whoever can read the reader's disk, and while the reader runs they are in its memory.
//! A chip takes its place behind [`SecureElement`] without a change elsewhere.
//!
//! The file `element` of a reader's folder, behind a check sum, is a CBOR array: title, version, scalar
//! of P-256, decapsulation and encapsulation key of ML-KEM-768 or null, keys, marks.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::cmac;
use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use credential::aws_lc::AwsLc;
use credential::cbor::{CborError, Decoder, Encoder, Kind};
use credential::crypto::{Crypto, P256Secret, SharedSecret, Signature};
use credential::delivery::recipient::Recipient;
use credential::delivery::schedule::{Agreed, open};
use credential::delivery::{Delivery, DeliveryError, Kcv, Purpose, Scope, Suite};
use presentation::express::handle::PreparedKeys;
use presentation::express::handle::{Content, Handle, TapKey};
use presentation::express::reader::{HandleOpener, OpenError};
use presentation::express::schedule::ScopeKeys;
use presentation::express::{Context, ScopeId};
use reader::delivery::{ElementError, Held, MARKS_MAX, Mark, SecureElement};
use zeroize::Zeroizing;

use crate::file;

/// The name of the file in the folder of a reader.
pub const FILE: &str = "element";
/// What the file says of itself.
pub const TITLE: &str = "limen secure element in software: no chip protects these keys";
/// Keys in an element.
pub const KEYS_MAX: usize = 256;

const VERSION: u64 = 1;
const FILE_BYTES_MAX: u64 = 128 * 1024;

/// A secure element in a file.
pub struct SoftwareElement {
    path: PathBuf,
    p256: P256Secret,
    ml_kem: Option<MlKem>,
    recipient: Recipient,
    held: Vec<Held>,
    keys: Vec<Key>,
    /// What is derived from the epoch keys among them, once for all taps.
    scopes: Vec<PreparedKeys>,
    marks: Vec<Mark>,
    /// Unwrapped, not yet durable.
    aside: Vec<(Held, Key)>,
}

type Key = Zeroizing<Vec<u8>>;

struct MlKem {
    decapsulation: DecapsulationKey,
    encapsulation: Vec<u8>,
}

impl SoftwareElement {
    /// Makes an element with fresh keys of `suite` in `folder`, where there must be none.
    ///
    /// # Errors
    /// [`io::Error`] naming the file.
    pub fn create(folder: &Path, suite: Suite) -> io::Result<Self> {
        let path = folder.join(FILE);
        if path.exists() {
            return Err(file::named(&io::ErrorKind::AlreadyExists.into(), "cannot make", &path));
        }
        let failed = || file::named(&io::Error::other("no random bytes"), "cannot make", &path);
        let mut scalar = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(scalar.as_mut()).map_err(|_| failed())?;
        let p256 = P256Secret::from_bytes(*scalar);
        let public = AwsLc.p256_public(&p256).map_err(|_| failed())?;
        let ml_kem = match suite {
            Suite::P256 => None,
            Suite::P256MlKem768 => Some(MlKem::generate().ok_or_else(failed)?),
        };
        let encapsulation = ml_kem.as_ref().map(|keys| keys.encapsulation.clone());
        let recipient = Recipient::new(public, encapsulation).ok_or_else(failed)?;
        let (held, keys, marks, aside) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let scopes = Vec::new();
        let element = Self { path, p256, ml_kem, recipient, held, keys, scopes, marks, aside };
        element.store(&[], &[], &[])?;
        Ok(element)
    }

    /// The element of `folder`, if there is one.
    ///
    /// # Errors
    /// [`io::Error`] naming the file: that it is damaged, or open to others.
    pub fn open(folder: &Path) -> io::Result<Option<Self>> {
        let path = folder.join(FILE);
        let Some(bytes) = file::read_checked(&path, FILE_BYTES_MAX)?.map(Zeroizing::new) else {
            return Ok(None);
        };
        let mode = fs::metadata(&path)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let what = format!("it is open to others (mode {mode:03o}): run `chmod 600`");
            let error = io::Error::new(io::ErrorKind::PermissionDenied, what);
            return Err(file::named(&error, "cannot use", &path));
        }
        let element = Self::decode(&path, &bytes).ok().flatten();
        element.map(Some).ok_or_else(|| file::damaged(&path))
    }

    /// The scopes and epochs whose handles it opens.
    #[must_use]
    pub fn contexts(&self) -> Vec<Context> {
        self.scopes.iter().map(PreparedKeys::context).collect()
    }

    fn key(&self, held: &Held) -> Option<&Key> {
        let position = self.held.iter().position(|known| known == held)?;
        self.keys.get(position)
    }

    fn decode(path: &Path, bytes: &[u8]) -> Result<Option<Self>, CborError> {
        let mut decoder = Decoder::new(bytes)?;
        decoder.array_of(7)?;
        let (title, version) = (decoder.text()?, decoder.unsigned()?);
        let p256 = P256Secret::from_bytes(decoder.byte_array()?);
        let (decapsulation, encapsulation) = (optional(&mut decoder)?, optional(&mut decoder)?);
        let keys = read_keys(&mut decoder)?;
        let marks = read_marks(&mut decoder)?;
        decoder.finish()?;
        let (Some((held, keys)), Some(marks)) = (keys, marks) else { return Ok(None) };
        let ml_kem = match (decapsulation, encapsulation) {
            (Some(secret), Some(public)) => match MlKem::restore(&secret, &public) {
                Some(keys) => Some(keys),
                None => return Ok(None),
            },
            (None, None) => None,
            _ => return Ok(None),
        };
        let public = AwsLc.p256_public(&p256).ok().filter(|_| title == TITLE && version == VERSION);
        let encapsulation = ml_kem.as_ref().map(|keys| keys.encapsulation.clone());
        let recipient = public.and_then(|public| Recipient::new(public, encapsulation));
        Ok(recipient.map(|recipient| {
            let (path, aside, scopes) = (path.into(), Vec::new(), derive(&held, &keys));
            Self { path, p256, ml_kem, recipient, held, keys, scopes, marks, aside }
        }))
    }

    fn store(&self, held: &[Held], keys: &[Key], marks: &[Mark]) -> io::Result<()> {
        let failed = || file::named(&io::Error::other("no such key"), "cannot write", &self.path);
        // Sized so that it need not grow and leave a copy of keys behind.
        let mut encoder = Encoder::with_capacity(usize::try_from(FILE_BYTES_MAX).unwrap_or(0));
        encoder.array(7).text(TITLE).unsigned(VERSION).bytes(self.p256.danger_bytes());
        match &self.ml_kem {
            Some(ml_kem) => {
                let secret = ml_kem.decapsulation.key_bytes().map_err(|_| failed())?;
                encoder.bytes(secret.as_ref()).bytes(&ml_kem.encapsulation);
            }
            None => {
                encoder.null().null();
            }
        }
        encoder.array(held.len());
        for (held, key) in held.iter().zip(keys) {
            encoder.array(7);
            write_name(&mut encoder, held.purpose, &held.scope);
            encoder.unsigned(held.epoch).unsigned(held.version.into()).bytes(&held.kcv.0);
            encoder.bytes(key);
        }
        encoder.array(marks.len());
        for mark in marks {
            encoder.array(4);
            write_name(&mut encoder, mark.purpose, &mark.scope);
            encoder.unsigned(mark.generation);
        }
        let bytes = Zeroizing::new(encoder.into_bytes());
        file::replace_checked(&self.path, &bytes)
    }
}

impl SecureElement for SoftwareElement {
    fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    fn prove(&self, message: &[u8]) -> Result<Signature, ElementError> {
        AwsLc.p256_sign(&self.p256, message).map_err(|_| ElementError::Fault)
    }

    fn held(&self) -> &[Held] {
        &self.held
    }

    fn marks(&self) -> &[Mark] {
        &self.marks
    }

    fn unwrap(&mut self, delivery: &Delivery) -> Result<(), ElementError> {
        if self.aside.len() >= KEYS_MAX {
            return Err(ElementError::Storage);
        }
        let agree = |point| {
            let wrong = ElementError::Delivery(DeliveryError::Key("P-256"));
            AwsLc.p256_agree(&self.p256, point).map_err(|_| wrong)
        };
        let p256 = agree(&delivery.ephemeral)?;
        let shared = match (&self.ml_kem, &delivery.encapsulated) {
            (Some(keys), Some(ciphertext)) => Some(keys.decapsulate(ciphertext)?),
            _ => None,
        };
        let agreed = Agreed { p256: &p256, ml_kem: shared.as_ref() };
        let inner = open(&AwsLc, delivery, &self.recipient, &agreed);
        let inner = inner.map_err(ElementError::Delivery)?;
        let kek = agree(&inner.ephemeral)?;
        let sealed = || ElementError::Delivery(DeliveryError::Sealed);
        let mut key = Zeroizing::new(vec![0; inner.wrapped.len()]);
        let kek = AesKek::new(&AES_256, kek.danger_bytes()).map_err(|_| sealed())?;
        let length = kek.unwrap(&inner.wrapped, &mut key).map_err(|_| sealed())?.len();
        key.truncate(length);
        let held = Held::of(delivery);
        if Kcv::of_mac(&mac(&key, &[0; 16])?) != held.kcv {
            return Err(ElementError::CheckValue);
        }
        self.aside.push((held, key));
        Ok(())
    }

    fn commit(&mut self, kept: &[Held], marks: Vec<Mark>) -> Result<(), ElementError> {
        let mut held = Vec::with_capacity(kept.len() + self.aside.len());
        let mut keys = Vec::with_capacity(kept.len() + self.aside.len());
        for kept in kept {
            keys.push(self.key(kept).ok_or(ElementError::NoKey)?.clone());
            held.push(kept.clone());
        }
        for (new, key) in self.aside.drain(..) {
            held.push(new);
            keys.push(key);
        }
        if held.len() > KEYS_MAX || marks.len() > MARKS_MAX {
            return Err(ElementError::Storage);
        }
        self.store(&held, &keys, &marks).map_err(|_| ElementError::Storage)?;
        self.scopes = derive(&held, &keys);
        (self.held, self.keys, self.marks) = (held, keys, marks);
        Ok(())
    }

    fn mac(&self, held: &Held, message: &[u8]) -> Result<[u8; 16], ElementError> {
        mac(self.key(held).ok_or(ElementError::NoKey)?, message)
    }
}

impl HandleOpener for SoftwareElement {
    fn open(&self, context: Context, handle: &Handle) -> Result<(Content, TapKey), OpenError> {
        HandleOpener::open(&self.scopes, context, handle)
    }
}

impl std::fmt::Debug for SoftwareElement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SoftwareElement").field("path", &self.path).finish_non_exhaustive()
    }
}

impl MlKem {
    fn generate() -> Option<Self> {
        let decapsulation = DecapsulationKey::generate(&ML_KEM_768).ok()?;
        let encapsulation = decapsulation.encapsulation_key().ok()?.key_bytes().ok()?;
        let encapsulation = encapsulation.as_ref().to_vec();
        Some(Self { decapsulation, encapsulation })
    }

    /// The pair, if the two halves belong together.
    fn restore(secret: &[u8], public: &[u8]) -> Option<Self> {
        let decapsulation = DecapsulationKey::new(&ML_KEM_768, secret).ok()?;
        let key = EncapsulationKey::new(&ML_KEM_768, public).ok()?;
        let (ciphertext, sent) = key.encapsulate().ok()?;
        let got = decapsulation.decapsulate(ciphertext).ok()?;
        let encapsulation = public.to_vec();
        (sent.as_ref() == got.as_ref()).then_some(Self { decapsulation, encapsulation })
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Result<SharedSecret, ElementError> {
        let wrong = || ElementError::Delivery(DeliveryError::Key("ML-KEM-768"));
        let shared = self.decapsulation.decapsulate(Ciphertext::from(ciphertext));
        let shared = shared.map_err(|_| wrong())?;
        Ok(SharedSecret::from_bytes(shared.as_ref().try_into().map_err(|_| wrong())?))
    }
}

fn derive(held: &[Held], keys: &[Key]) -> Vec<PreparedKeys> {
    let epochs = held.iter().zip(keys).filter(|(held, _)| held.purpose == Purpose::Epoch);
    let scopes = epochs.filter_map(|(Held { scope, epoch, .. }, key)| {
        let context = Context {
            scope: ScopeId::new(&AwsLc, &scope.operator, scope.zone.as_ref()),
            epoch: (*epoch).try_into().ok()?,
        };
        Some(ScopeKeys::derive(&AwsLc, key.as_slice().try_into().ok()?, context).prepare(&AwsLc))
    });
    scopes.collect()
}

fn mac(key: &[u8], message: &[u8]) -> Result<[u8; 16], ElementError> {
    let key = cmac::Key::new(cmac::AES_256, key).map_err(|_| ElementError::Fault)?;
    let tag = cmac::sign(&key, message).map_err(|_| ElementError::Fault)?;
    tag.as_ref().try_into().map_err(|_| ElementError::Fault)
}

fn write_name(encoder: &mut Encoder, purpose: Purpose, scope: &Scope) {
    encoder.unsigned(purpose.number().into()).text(scope.operator.as_str());
    match &scope.zone {
        Some(zone) => encoder.text(zone.as_str()),
        None => encoder.null(),
    };
}

fn read_name(decoder: &mut Decoder<'_>) -> Result<Option<(Purpose, Scope)>, CborError> {
    let purpose = Purpose::from_number(decoder.unsigned()?);
    let operator = decoder.text()?.parse().ok();
    let zone = match decoder.kind() {
        Kind::Null => decoder.null().map(|()| Some(None))?,
        _ => decoder.text()?.parse().ok().map(Some),
    };
    let scope = operator.zip(zone).map(|(operator, zone)| Scope { operator, zone });
    Ok(purpose.zip(scope))
}

fn optional(decoder: &mut Decoder<'_>) -> Result<Option<Zeroizing<Vec<u8>>>, CborError> {
    match decoder.kind() {
        Kind::Null => decoder.null().map(|()| None),
        _ => Ok(Some(Zeroizing::new(decoder.bytes()?.to_vec()))),
    }
}

type Keys = (Vec<Held>, Vec<Key>);

fn read_keys(decoder: &mut Decoder<'_>) -> Result<Option<Keys>, CborError> {
    let (mut held, mut keys) = (Vec::new(), Vec::new());
    let mut entries = decoder.array()?;
    while decoder.more(&mut entries)? {
        decoder.array_of(7)?;
        let name = read_name(decoder)?;
        let epoch = decoder.unsigned()?;
        let version = u32::try_from(decoder.unsigned()?).ok();
        let kcv = Kcv(decoder.byte_array()?);
        let key = Zeroizing::new(decoder.bytes()?.to_vec());
        let (Some((purpose, scope)), Some(version)) = (name, version) else { return Ok(None) };
        if held.len() >= KEYS_MAX || key.len() != purpose.key_bytes() {
            return Ok(None);
        }
        held.push(Held { purpose, scope, epoch, version, kcv });
        keys.push(key);
    }
    Ok(Some((held, keys)))
}

fn read_marks(decoder: &mut Decoder<'_>) -> Result<Option<Vec<Mark>>, CborError> {
    let mut marks = Vec::new();
    let mut entries = decoder.array()?;
    while decoder.more(&mut entries)? {
        decoder.array_of(4)?;
        let name = read_name(decoder)?;
        let generation = decoder.unsigned()?;
        let Some((purpose, scope)) = name else { return Ok(None) };
        if marks.len() >= MARKS_MAX {
            return Ok(None);
        }
        marks.push(Mark { purpose, scope, generation });
    }
    Ok(Some(marks))
}
