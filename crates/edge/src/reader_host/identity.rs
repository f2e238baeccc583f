//! What a reader is: the file `reader.cbor` of its folder, and the key beside it.

use std::path::Path;

use credential::cbor::{CborError, Decoder, Encoder, Remaining};
use credential::crypto::{Crypto, P256Secret, PublicKey};
use credential::x509::Certificate;
use vocabulary::id::ReaderId;

use super::{HostError, SMALL_FILE_BYTES_MAX, lock};
use crate::file;

/// What a reader is, as it is stored when it is enrolled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its identifier.
    pub reader: ReaderId,
    /// The root of the city, DER.
    pub root: Vec<u8>,
    /// Its own certificate, DER.
    pub certificate: Vec<u8>,
    /// By what it proves itself in a standard tap; none where the city gave nothing.
    pub standard: Option<StandardCertificate>,
}

/// By what a reader proves itself in a standard tap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandardCertificate {
    /// The key of the reader authority that signed it: an uncompressed point of P-256.
    pub group_key: [u8; 65],
    /// The certificate for the reader's own key, compressed (profile 0000).
    pub certificate: Vec<u8>,
}

impl Identity {
    /// Stores a reader in its folder: its key first, so that an identity never lacks one. Where a
    /// reader is, this makes its certificate anew.
    ///
    /// # Errors
    /// [`HostError::Enrolled`] where another reader is, or this one with another key: its key and
    /// its journal are not thrown away. [`HostError::Locked`] while a process works there.
    pub fn store(&self, folder: &Path, key: &P256Secret) -> Result<(), HostError> {
        file::make_folder(folder)?;
        let _lock = lock(folder)?;
        let key_path = folder.join("reader.key");
        match Self::load(folder) {
            Ok(before) => {
                let stored = file::read(&key_path, 32)?;
                let is_same = stored.is_some_and(|stored| stored == key.danger_bytes());
                if !is_same || !self.follows(&before) {
                    return Err(HostError::Enrolled { folder: folder.into() });
                }
            }
            Err(HostError::NotEnrolled { .. }) => file::replace(&key_path, key.danger_bytes())?,
            Err(error) => return Err(error),
        }
        self.write(folder)
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), HostError> {
        Ok(file::replace_checked(&folder.join("reader.cbor"), &self.encode())?)
    }

    /// The reader of a folder.
    ///
    /// # Errors
    /// [`HostError::NotEnrolled`]; [`HostError::File`] or [`HostError::Damaged`], which name the file.
    pub fn load(folder: &Path) -> Result<Self, HostError> {
        let file = folder.join("reader.cbor");
        let bytes = file::read_checked(&file, SMALL_FILE_BYTES_MAX)?;
        let bytes = bytes.ok_or_else(|| HostError::NotEnrolled { folder: folder.into() })?;
        Self::decode(&bytes).map_err(|_| HostError::Damaged { file })
    }

    /// Whether this is the same reader, with a certificate for the same key.
    pub(super) fn follows(&self, before: &Self) -> bool {
        let [own, other] = [self, before].map(|identity| Certificate::parse(&identity.certificate));
        let is_same_key = own.is_ok_and(|own| other.is_ok_and(|o| o.public_key == own.public_key));
        self.reader == before.reader && is_same_key
    }

    /// The key of the folder, if it is that of the certificate.
    pub(super) fn key(&self, folder: &Path, crypto: &dyn Crypto) -> Result<P256Secret, HostError> {
        let file = folder.join("reader.key");
        let bytes = file::read(&file, 32)?.and_then(|key| <[u8; 32]>::try_from(key).ok());
        let key = bytes.map(P256Secret::from_bytes).filter(|key| {
            let public = crypto.p256_public(key).map(PublicKey::P256).ok();
            let certificate = Certificate::parse(&self.certificate).ok();
            public.is_some() && public == certificate.map(|certificate| certificate.public_key)
        });
        key.ok_or(HostError::Damaged { file })
    }

    fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.array(3 + usize::from(self.standard.is_some()));
        encoder.bytes(self.reader.as_bytes()).bytes(&self.root).bytes(&self.certificate);
        if let Some(StandardCertificate { group_key, certificate }) = &self.standard {
            encoder.array(2).bytes(group_key).bytes(certificate);
        }
        encoder.into_bytes()
    }

    /// A reader from before the standard tap has three fields.
    fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let mut decoder = Decoder::new(bytes)?;
        let has_standard = decoder.array()? == Remaining::Definite(4);
        if !has_standard {
            decoder = Decoder::new(bytes)?;
            decoder.array_of(3)?;
        }
        let reader = ReaderId::from_bytes(decoder.byte_array()?);
        let (root, certificate) = (decoder.bytes()?.to_vec(), decoder.bytes()?.to_vec());
        let standard = if has_standard {
            decoder.array_of(2)?;
            let group_key = decoder.byte_array()?;
            Some(StandardCertificate { group_key, certificate: decoder.bytes()?.to_vec() })
        } else {
            None
        };
        decoder.finish()?;
        Ok(Self { reader, root, certificate, standard })
    }
}
