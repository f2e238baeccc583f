//! What one record of the journal of uses says.

use credential::cbor::{CborError, Decoder, Encoder, Kind};
use vocabulary::time::Instant;

use crate::custody::KeyHandle;
use crate::purpose::Purpose;

/// What was done with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Something was signed.
    Sign,
    /// The key was made.
    Generate,
    /// A certificate was kept beside it.
    Attach,
    /// It was moved on.
    SetState,
    /// It was destroyed.
    Destroy,
}

impl Deed {
    /// Every deed.
    pub const ALL: [Self; 5] =
        [Self::Sign, Self::Generate, Self::Attach, Self::SetState, Self::Destroy];

    /// The word, as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sign => "sign",
            Self::Generate => "generate",
            Self::Attach => "attach",
            Self::SetState => "set-state",
            Self::Destroy => "destroy",
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The key has signed, or the deed is done.
    Done,
    /// The deed is about to be done.
    Ordered,
    /// The client may not.
    NotAllowed,
    /// The bytes are not what the key signs.
    WrongType,
    /// The key signs nothing now.
    NotActive,
    /// The custodian failed or refused.
    Failed,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 6] = [
        Self::Done,
        Self::Ordered,
        Self::NotAllowed,
        Self::WrongType,
        Self::NotActive,
        Self::Failed,
    ];

    /// The word, as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Ordered => "ordered",
            Self::NotAllowed => "not-allowed",
            Self::WrongType => "wrong-type",
            Self::NotActive => "not-active",
            Self::Failed => "failed",
        }
    }
}

/// One use of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// When.
    pub at: Instant,
    /// The client.
    pub client: String,
    /// What was asked for.
    pub deed: Deed,
    /// The key; none before it is made.
    pub handle: Option<KeyHandle>,
    /// What the key is for.
    pub purpose: Option<Purpose>,
    /// SHA-256 of what was to be signed.
    pub digest: Option<[u8; 32]>,
    /// What came of it.
    pub outcome: Outcome,
}

impl Use {
    /// The payload of its record; the time stands outside of it.
    #[must_use]
    pub fn to_payload(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(160);
        out.array(7).text(&self.client).text(self.deed.as_str());
        match &self.handle {
            Some(handle) => out.bytes(handle.as_bytes()),
            None => out.null(),
        };
        for word in [
            self.purpose.map(Purpose::as_str),
            self.purpose.map(|purpose| purpose.object_type().as_str()),
        ] {
            match word {
                Some(word) => out.text(word),
                None => out.null(),
            };
        }
        match &self.digest {
            Some(digest) => out.bytes(digest),
            None => out.null(),
        };
        out.text(self.outcome.as_str());
        out.into_bytes()
    }

    /// The use that the record of `at` holds.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn of_payload(at: Instant, payload: &[u8]) -> Result<Self, CborError> {
        let mut reader = Decoder::new(payload)?;
        reader.array_of(7)?;
        let client = reader.text()?.to_owned();
        let deed = reader.text()?;
        let deed = Deed::ALL.into_iter().find(|one| one.as_str() == deed);
        let deed = deed.ok_or_else(|| reader.unexpected("a deed"))?;
        let handle = optional(&mut reader, |reader| reader.byte_array())?;
        let purpose = optional(&mut reader, |reader| reader.text())?;
        let _object = optional(&mut reader, |reader| reader.text())?;
        let digest = optional(&mut reader, |reader| reader.byte_array())?;
        let outcome = reader.text()?;
        let outcome = Outcome::ALL.into_iter().find(|one| one.as_str() == outcome);
        let outcome = outcome.ok_or_else(|| reader.unexpected("an outcome"))?;
        reader.finish()?;
        let handle = handle.map(KeyHandle::from_bytes);
        let purpose = purpose.and_then(|word| word.parse().ok());
        Ok(Self { at, client, deed, handle, purpose, digest, outcome })
    }
}

fn optional<'a, T>(
    reader: &mut Decoder<'a>,
    read: impl FnOnce(&mut Decoder<'a>) -> Result<T, CborError>,
) -> Result<Option<T>, CborError> {
    match reader.kind() {
        Kind::Null => reader.null().map(|()| None),
        _ => read(reader).map(Some),
    }
}
