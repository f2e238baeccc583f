//! Lists come in pages: at most [`PAGE_SIZE_MAX`] items, continued by a cursor.
//!
//! A cursor is the key of the last item seen, so that inserting and deleting neither repeats nor
//! skips other items. It is opaque outside and worth nothing in another tenant.

use core::fmt;
use core::str::FromStr;

use crate::engine::Value;

/// Items in one page.
pub const PAGE_SIZE_MAX: u16 = 200;
/// Bytes in the key behind a cursor.
pub const CURSOR_BYTES_MAX: usize = 64;

/// How many items a page holds: 1 to [`PAGE_SIZE_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(u16);

impl PageSize {
    /// The largest page.
    pub const MAX: Self = Self(PAGE_SIZE_MAX);

    /// A page of `items`.
    ///
    /// # Errors
    /// [`PageError::Size`] for 0 and for more than [`PAGE_SIZE_MAX`].
    pub fn new(items: u16) -> Result<Self, PageError> {
        if (1..=PAGE_SIZE_MAX).contains(&items) { Ok(Self(items)) } else { Err(PageError::Size) }
    }

    /// The number of items.
    #[must_use]
    pub fn items(self) -> usize {
        usize::from(self.0)
    }

    /// A limit for the statement: one more than the page, to know whether another follows.
    pub(crate) fn and_one(self) -> Value {
        Value::Integer(i64::from(self.0) + 1)
    }
}

/// Which page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many items.
    pub size: PageSize,
    /// After which item; from the beginning when absent.
    pub after: Option<Cursor>,
}

impl Page {
    /// The first page of the largest size.
    pub const FIRST: Self = Self { size: PageSize::MAX, after: None };
}

/// Where a page ended.
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor(Vec<u8>);

impl Cursor {
    /// The key as bytes, or what sorts before all keys.
    pub(crate) fn blob(after: Option<&Self>) -> Value {
        Value::Blob(after.map(|cursor| cursor.0.clone()).unwrap_or_default())
    }

    /// The key as text, or what sorts before all keys.
    pub(crate) fn text(after: Option<&Self>) -> Value {
        let text = |cursor: &Self| String::from_utf8_lossy(&cursor.0).into_owned();
        Value::Text(after.map(text).unwrap_or_default())
    }

    /// The key as a number, or what sorts before all keys.
    pub(crate) fn number(after: Option<&Self>) -> Value {
        let number = |cursor: &Self| cursor.0.as_slice().try_into().map(i64::from_be_bytes).ok();
        Value::Integer(after.and_then(number).unwrap_or(-1))
    }

    fn of(key: Key<'_>) -> Self {
        Self(match key {
            Key::Bytes(bytes) => bytes.to_vec(),
            Key::Number(number) => number.to_be_bytes().to_vec(),
        })
    }
}

/// What an item is listed by.
pub(crate) enum Key<'k> {
    Bytes(&'k [u8]),
    /// A number that was read from a signed column.
    Number(u64),
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Cursor {
    type Err = PageError;

    fn from_str(text: &str) -> Result<Self, PageError> {
        let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let byte = |[high, low]: &[u8; 2]| Some(digit(high)? << 4 | digit(low)?);
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        match bytes {
            Some(bytes)
                if rest.is_empty() && !bytes.is_empty() && bytes.len() <= CURSOR_BYTES_MAX =>
            {
                Ok(Self(bytes))
            }
            _ => Err(PageError::Cursor),
        }
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T> {
    /// The items, in the order of their keys.
    pub items: Vec<T>,
    /// Where to go on; none at the end.
    pub next: Option<Cursor>,
}

impl<T> Listing<T> {
    /// From at most one item more than the page holds.
    pub(crate) fn of(mut items: Vec<T>, size: PageSize, key: for<'k> fn(&'k T) -> Key<'k>) -> Self {
        let more = items.len() > size.items();
        items.truncate(size.items());
        let next = items.last().filter(|_| more).map(|last| Cursor::of(key(last)));
        Self { items, next }
    }
}

/// Why a page is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageError {
    /// 0 items, or more than [`PAGE_SIZE_MAX`].
    Size,
    /// The text is no cursor.
    Cursor,
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size => write!(f, "a page holds 1 to `{PAGE_SIZE_MAX}` items"),
            Self::Cursor => f.write_str("not a cursor: use the one of the page before"),
        }
    }
}

impl core::error::Error for PageError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_size_is_held_at_both_limits() {
        for (items, accepted) in
            [(0, false), (1, true), (PAGE_SIZE_MAX, true), (PAGE_SIZE_MAX + 1, false)]
        {
            assert_eq!(PageSize::new(items).is_ok(), accepted, "{items}");
        }
    }

    #[test]
    fn cursors_return_from_their_text_and_hold_to_their_limit() {
        let cursor = Cursor(vec![0, 1, 254, 255]);
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for (text, accepted) in [
            ("", false),
            ("0", false),
            ("zz", false),
            ("é", false),
            (&*"00".repeat(CURSOR_BYTES_MAX), true),
            (&*"00".repeat(CURSOR_BYTES_MAX + 1), false),
        ] {
            assert_eq!(text.parse::<Cursor>().is_ok(), accepted, "{text}");
        }
    }
}
