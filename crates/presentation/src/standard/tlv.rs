//! BER-TLV data objects (ISO/IEC 7816-4 clause 6.3), strictly: tags of one or two bytes, definite
//! lengths of at most 65,535 in their shortest form, and nothing left over.

use alloc::vec::Vec;
use core::fmt;

/// Objects of one list in which every tag stands once.
pub const OBJECTS_MAX: usize = 16;

/// One data object, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object<'a> {
    /// The tag, of one or two bytes.
    pub tag: u16,
    /// The contents.
    pub value: &'a [u8],
    /// Tag, length and contents as they came.
    pub raw: &'a [u8],
}

/// Why bytes are not data objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlvError {
    /// The bytes end inside an object.
    Truncated,
    /// A tag has more than two bytes, or two where one would do.
    Tag,
    /// A length is indefinite, too large, or longer than needed.
    Length,
    /// A tag stands twice.
    Duplicate(u16),
    /// More than [`OBJECTS_MAX`] objects.
    TooMany,
    /// A tag does not belong here.
    Unknown(u16),
    /// A tag that must be there is not.
    Missing(u16),
    /// The contents of a tag are not what they must be.
    Value(u16),
}

impl fmt::Display for TlvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("parse data objects: ")?;
        match self {
            Self::Truncated => f.write_str("they end inside an object"),
            Self::Tag => f.write_str("a tag is longer than two bytes or than needed"),
            Self::Length => {
                f.write_str("a length is not definite, short enough and in shortest form")
            }
            Self::Duplicate(tag) => write!(f, "tag `{tag:02X}` stands twice"),
            Self::TooMany => write!(f, "more than {OBJECTS_MAX}"),
            Self::Unknown(tag) => write!(f, "tag `{tag:02X}` does not belong here"),
            Self::Missing(tag) => write!(f, "tag `{tag:02X}` is missing"),
            Self::Value(tag) => write!(f, "tag `{tag:02X}` has contents that it must not have"),
        }
    }
}

impl core::error::Error for TlvError {}

/// Reads objects one after another; a tag may repeat.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// From the beginning of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next object; nothing at the end.
    ///
    /// # Errors
    /// [`TlvError`] when what follows is not an object.
    pub fn object(&mut self) -> Result<Option<Object<'a>>, TlvError> {
        let start = self.rest;
        let (tag, rest) = match *start {
            [] => return Ok(None),
            [first, ref rest @ ..] if first & 0x1F != 0x1F => (u16::from(first), rest),
            [first, second @ 0x1F..=0x7F, ref rest @ ..] => {
                (u16::from_be_bytes([first, second]), rest)
            }
            [_] => return Err(TlvError::Truncated),
            _ => return Err(TlvError::Tag),
        };
        let (length, rest) = match *rest {
            [] | [0x81] | [0x82] | [0x82, _] => return Err(TlvError::Truncated),
            [length @ ..=0x7F, ref rest @ ..] => (usize::from(length), rest),
            [0x81, length @ 0x80..=0xFF, ref rest @ ..] => (usize::from(length), rest),
            [0x82, high @ 1..=0xFF, low, ref rest @ ..] => {
                (usize::from(u16::from_be_bytes([high, low])), rest)
            }
            _ => return Err(TlvError::Length),
        };
        let (value, rest) = rest.split_at_checked(length).ok_or(TlvError::Truncated)?;
        self.rest = rest;
        let raw = start.get(..start.len() - rest.len()).unwrap_or_default();
        Ok(Some(Object { tag, value, raw }))
    }
}

/// A list of objects in which every tag stands once, in whatever order.
#[derive(Clone, Copy, Debug)]
pub struct Objects<'a> {
    list: [Option<Object<'a>>; OBJECTS_MAX],
}

impl<'a> Objects<'a> {
    /// Reads objects that fill `bytes`.
    ///
    /// # Errors
    /// [`TlvError`] when they do not, or a tag stands twice.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TlvError> {
        let mut list = [None; OBJECTS_MAX];
        let mut reader = Reader::new(bytes);
        let mut count = 0;
        while let Some(object) = reader.object()? {
            if list.iter().flatten().any(|other: &Object<'_>| other.tag == object.tag) {
                return Err(TlvError::Duplicate(object.tag));
            }
            *list.get_mut(count).ok_or(TlvError::TooMany)? = Some(object);
            count += 1;
        }
        Ok(Self { list })
    }

    /// As [`Objects::parse`], of these tags alone.
    ///
    /// # Errors
    /// [`TlvError::Unknown`] for another tag.
    pub fn parse_only(bytes: &'a [u8], tags: &[u16]) -> Result<Self, TlvError> {
        let objects = Self::parse(bytes)?;
        match objects.list.iter().flatten().find(|object| !tags.contains(&object.tag)) {
            Some(object) => Err(TlvError::Unknown(object.tag)),
            None => Ok(objects),
        }
    }

    /// The object of a tag.
    ///
    /// # Errors
    /// [`TlvError::Missing`].
    pub fn object(&self, tag: u16) -> Result<Object<'a>, TlvError> {
        let found = self.list.iter().flatten().find(|object| object.tag == tag);
        found.copied().ok_or(TlvError::Missing(tag))
    }

    /// The contents of a tag, if it is there, of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// [`TlvError::Value`] when they are longer.
    pub fn optional(&self, tag: u16, bytes_max: usize) -> Result<Option<&'a [u8]>, TlvError> {
        match self.object(tag) {
            Ok(object) if object.value.len() <= bytes_max => Ok(Some(object.value)),
            Ok(_) => Err(TlvError::Value(tag)),
            Err(_) => Ok(None),
        }
    }

    /// The contents of a tag, of exactly `N` bytes.
    ///
    /// # Errors
    /// [`TlvError::Missing`] or [`TlvError::Value`].
    pub fn array<const N: usize>(&self, tag: u16) -> Result<[u8; N], TlvError> {
        self.object(tag)?.value.try_into().map_err(|_| TlvError::Value(tag))
    }

    /// The contents of a tag, of exactly `N` bytes, if it is there.
    ///
    /// # Errors
    /// [`TlvError::Value`].
    pub fn optional_array<const N: usize>(&self, tag: u16) -> Result<Option<[u8; N]>, TlvError> {
        match self.array(tag) {
            Ok(value) => Ok(Some(value)),
            Err(TlvError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Appends one object. Contents of more than 65,535 bytes are cut off: no caller has them.
pub fn put(out: &mut Vec<u8>, tag: u16, value: &[u8]) {
    match tag.to_be_bytes() {
        [0, tag] => out.push(tag),
        tag => out.extend(tag),
    }
    // INVARIANT: what is put in has limits far below 65,535 bytes.
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    match length.to_be_bytes() {
        [0, low @ ..=0x7F] => out.push(low),
        [0, low] => out.extend([0x81, low]),
        both => out.extend([&[0x82][..], &both].concat()),
    }
    out.extend(value.iter().take(usize::from(length)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    #[test]
    fn only_one_form_of_tags_and_lengths_is_read() {
        for (bytes, error) in [
            (&[0x41][..], TlvError::Truncated),
            (&[0x41, 1], TlvError::Truncated),
            (&[0x41, 0x81], TlvError::Truncated),
            (&[0x41, 0x82, 1], TlvError::Truncated),
            (&[0x7F], TlvError::Truncated),
            (&[0x7F, 0x1E, 0], TlvError::Tag),
            (&[0x7F, 0x81, 0x66, 0], TlvError::Tag),
            (&[0x41, 0x80, 0, 0], TlvError::Length),
            (&[0x41, 0x81, 1, 9], TlvError::Length),
            (&[0x41, 0x82, 0, 1, 9], TlvError::Length),
            (&[0x41, 0x83, 0, 0, 1, 9], TlvError::Length),
            (&[0x41, 0, 0x41, 0], TlvError::Duplicate(0x41)),
        ] {
            assert_eq!(Objects::parse(bytes).unwrap_err(), error, "{bytes:02x?}");
        }
        let two = [0x7F, 0x66, 0];
        assert_eq!(Objects::parse(&two).unwrap().object(0x7F66).unwrap().raw, two);
    }

    #[test]
    fn the_number_of_objects_holds_to_its_limit() {
        let objects = |count: u8| -> Vec<u8> { (0..count).flat_map(|tag| [tag, 0]).collect() };
        assert!(Objects::parse(&objects(16)).is_ok());
        assert_eq!(Objects::parse(&objects(17)).unwrap_err(), TlvError::TooMany);
        assert_eq!(Objects::parse_only(&[7, 0], &[8]).unwrap_err(), TlvError::Unknown(7));
    }

    #[test]
    fn contents_hold_to_their_length() {
        let objects = Objects::parse(&[0x41, 2, 1, 2]).unwrap();
        assert_eq!(objects.array(0x41), Ok([1, 2]));
        assert_eq!(objects.array::<3>(0x41), Err(TlvError::Value(0x41)));
        assert_eq!(objects.array::<3>(0x42), Err(TlvError::Missing(0x42)));
        assert_eq!(objects.optional_array::<3>(0x42), Ok(None));
        assert_eq!(objects.optional(0x41, 2), Ok(Some(&[1, 2][..])));
        assert_eq!(objects.optional(0x41, 1), Err(TlvError::Value(0x41)));
    }

    proptest! {
        #[test]
        fn what_is_put_is_read(
            tag in prop_oneof![0_u16..0x1F, 0x20_u16..0x3F, Just(0x7F66_u16)],
            length in prop_oneof![0_usize..600, 65_530_usize..=65_535],
        ) {
            let tag = if tag & 0x1F == 0x1F { 0x7F66 } else { tag };
            let (value, mut bytes) = (vec![7; length], Vec::new());
            put(&mut bytes, tag, &value);
            let object = Objects::parse(&bytes).unwrap().object(tag).unwrap();
            prop_assert_eq!(object, Object { tag, value: &value, raw: &bytes });
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            if let Ok(objects) = Objects::parse(&bytes) {
                let raw: Vec<u8> =
                    objects.list.iter().flatten().flat_map(|object| object.raw.to_vec()).collect();
                prop_assert_eq!(raw, bytes);
            }
        }
    }
}
