//! Keys that the city delivers to this reader: which are taken, which refused, which forgotten
//! (`specs/key-delivery.md`).
//!
//! They come in the trust bundle, wrapped for this reader's [`SecureElement`], which alone unwraps them
//! and never gives them out. A delivery that is refused is named and changes nothing else: doors open by
//! what the bundle says, with or without keys.

use alloc::format;
use alloc::vec::Vec;
use core::fmt;

use credential::crypto::Signature;
use credential::delivery::recipient::Recipient;
use credential::delivery::{Delivery, DeliveryError, Kcv, Purpose, Scope};
use credential::rejection::Rejection;
use presentation::express::reader::HandleOpener;
use vocabulary::id::ReaderId;

/// Generations of a key that a reader holds: the one before, the one at hand, the next. A generation is
/// an epoch for epoch keys and a version for zone keys.
pub const GENERATIONS_HELD: u64 = 3;
/// Purposes and scopes that an element keeps apart in its life.
pub const MARKS_MAX: usize = 64;

/// A key in the element, without the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What it is for.
    pub purpose: Purpose,
    /// Where it is good.
    pub scope: Scope,
    /// The epoch of an epoch key; 0 for a zone key.
    pub epoch: u64,
    /// Its version.
    pub version: u32,
    /// Its check value.
    pub kcv: Kcv,
}

impl Held {
    /// The key that `delivery` claims to hold.
    #[must_use]
    pub fn of(delivery: &Delivery) -> Self {
        let context = &delivery.context;
        Self {
            purpose: context.purpose,
            scope: context.scope.clone(),
            epoch: context.epoch,
            version: context.version,
            kcv: context.kcv,
        }
    }

    fn generation(&self) -> u64 {
        match self.purpose {
            Purpose::Epoch => self.epoch,
            Purpose::Zone | Purpose::Card => self.version.into(),
        }
    }

    fn is_of(&self, mark: &Mark) -> bool {
        self.purpose == mark.purpose && self.scope == mark.scope
    }
}

/// The greatest generation that the element ever took of one purpose and scope. It only grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What for.
    pub purpose: Purpose,
    /// Where.
    pub scope: Scope,
    /// The greatest generation.
    pub generation: u64,
}

/// What keeps a reader's symmetric keys: a chip, or a file that says it is none.
///
/// Agreement, unwrapping and the opening of handles happen inside; a key that the city delivered never
/// comes out. Of a handle comes what it says and the key of its one tap ([`HandleOpener::open`]).
pub trait SecureElement: HandleOpener {
    /// Its public keys, for the city.
    fn recipient(&self) -> &Recipient;

    /// ES256 over `message` by the delivery key of P-256: once, to prove that it is held.
    ///
    /// # Errors
    /// [`ElementError`].
    fn prove(&self, message: &[u8]) -> Result<Signature, ElementError>;

    /// The keys in use.
    fn held(&self) -> &[Held];

    /// The marks.
    fn marks(&self) -> &[Mark];

    /// Unwraps `delivery` and keeps the key aside. It is not in use before [`SecureElement::commit`].
    ///
    /// # Errors
    /// [`ElementError::Delivery`] when it does not open or its check value is another.
    fn unwrap(&mut self, delivery: &Delivery) -> Result<(), ElementError>;

    /// Puts what was unwrapped into use in place of all keys but `kept`, with `marks`, durably: all of
    /// it or, on failure, nothing.
    ///
    /// # Errors
    /// [`ElementError::Storage`].
    fn commit(&mut self, kept: &[Held], marks: Vec<Mark>) -> Result<(), ElementError>;

    /// AES-CMAC over `message` with the key `held`.
    ///
    /// # Errors
    /// [`ElementError::NoKey`].
    fn mac(&self, held: &Held, message: &[u8]) -> Result<[u8; 16], ElementError>;
}

/// Why an element did not serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElementError {
    /// The delivery does not open for it.
    Delivery(DeliveryError),
    /// What opened is not the key whose check value the delivery names.
    CheckValue,
    /// It has no such key.
    NoKey,
    /// It could not store.
    Storage,
    /// It failed.
    Fault,
}

impl fmt::Display for ElementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivery(error) => error.fmt(f),
            Self::CheckValue => f.write_str("open key delivery: the key has another check value"),
            Self::NoKey => f.write_str("use secure element: it holds no such key"),
            Self::Storage => f.write_str("use secure element: it could not store its keys"),
            Self::Fault => f.write_str("use secure element: it failed"),
        }
    }
}

impl core::error::Error for ElementError {}

/// What came of the deliveries of one bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// New keys.
    pub installed: Vec<Held>,
    /// Keys that were there already.
    pub known: usize,
    /// Keys that are gone: of old generations, or of scopes that the bundle does not name any more.
    pub forgotten: usize,
    /// Deliveries that were refused, and why.
    pub refused: Vec<Rejection>,
}

/// Has `element` take the deliveries of a bundle for `reader`, which has been verified and stored.
///
/// A bundle without deliveries changes nothing: the city may have no vault at hand today. One with
/// deliveries names the scopes of this reader, and keys of others are forgotten.
///
/// # Errors
/// [`ElementError::Storage`] when nothing could be put into use; the keys before are then in use still.
pub fn take(
    element: &mut dyn SecureElement,
    reader: ReaderId,
    deliveries: &[Vec<u8>],
) -> Result<Taken, ElementError> {
    let mut taken = Taken::default();
    let mut book = Book { marks: element.marks().to_vec(), named: Vec::new() };
    for bytes in deliveries {
        match receive(element, reader, &mut book, &taken.installed, bytes) {
            Ok(Some(held)) => taken.installed.push(held),
            Ok(None) => taken.known += 1,
            Err(rejection) => taken.refused.push(rejection),
        }
    }
    let before = element.held().len();
    let is_kept = |held: &&Held| book.keeps(held) && !is_replaced(held, &taken.installed);
    let kept: Vec<Held> = element.held().iter().filter(is_kept).cloned().collect();
    taken.forgotten = before - kept.len();
    if !taken.installed.is_empty() || taken.forgotten > 0 {
        element.commit(&kept, book.marks)?;
    }
    Ok(taken)
}

/// Marks as they will be, and the scopes that the bundle named.
struct Book {
    marks: Vec<Mark>,
    named: Vec<(Purpose, Scope)>,
}

impl Book {
    fn mark(&self, held: &Held) -> Option<&Mark> {
        self.marks.iter().find(|mark| held.is_of(mark))
    }

    /// The oldest generation that still counts.
    fn oldest(&self, held: &Held) -> u64 {
        let greatest = self.mark(held).map_or(0, |mark| mark.generation);
        greatest.saturating_sub(GENERATIONS_HELD - 1)
    }

    fn keeps(&self, held: &Held) -> bool {
        let is_named =
            |(purpose, scope): &(Purpose, Scope)| *purpose == held.purpose && *scope == held.scope;
        let is_named = self.named.is_empty() || self.named.iter().any(is_named);
        is_named && held.generation() >= self.oldest(held)
    }

    fn raise(&mut self, held: &Held) {
        match self.marks.iter_mut().find(|mark| held.is_of(mark)) {
            Some(mark) => mark.generation = mark.generation.max(held.generation()),
            None => self.marks.push(Mark {
                purpose: held.purpose,
                scope: held.scope.clone(),
                generation: held.generation(),
            }),
        }
    }
}

/// An epoch key of a lower version gives way to the higher one of its epoch.
fn is_replaced(held: &Held, installed: &[Held]) -> bool {
    held.purpose == Purpose::Epoch
        && installed.iter().any(|new| {
            new.purpose == held.purpose && new.scope == held.scope && new.epoch == held.epoch
        })
}

/// The key of one delivery, kept aside in the element; nothing where it is there already.
fn receive(
    element: &mut dyn SecureElement,
    reader: ReaderId,
    book: &mut Book,
    installed: &[Held],
    bytes: &[u8],
) -> Result<Option<Held>, Rejection> {
    let refused = |code, error: &dyn fmt::Display| Rejection::wire(code, format!("{error}"));
    let delivery = Delivery::parse(bytes).map_err(|error| refused("delivery-form", &error))?;
    if delivery.context.recipient != *reader.as_bytes() {
        let message = "key delivery is for another reader";
        return Err(Rejection::wire("delivery-reader", message));
    }
    let held = Held::of(&delivery);
    if held.purpose == Purpose::Card {
        let message = "key delivery holds a card key, which no reader gets";
        return Err(Rejection::wire("delivery-purpose", message));
    }
    if judge(&held, book, element.held().iter().chain(installed))? == Age::Known {
        book.named.push((held.purpose, held.scope));
        return Ok(None);
    }
    element.unwrap(&delivery).map_err(|error| refused("delivery-sealed", &error))?;
    book.raise(&held);
    book.named.push((held.purpose, held.scope.clone()));
    Ok(Some(held))
}

#[derive(PartialEq, Eq)]
enum Age {
    Known,
    New,
}

fn judge<'h>(
    held: &Held,
    book: &Book,
    there: impl Iterator<Item = &'h Held>,
) -> Result<Age, Rejection> {
    let what = format!("{} key of `{}`", held.purpose, held.scope);
    if book.mark(held).is_none() && book.marks.len() >= MARKS_MAX {
        let message = format!("{what} is of one scope more than {MARKS_MAX}");
        return Err(Rejection::wire("delivery-scopes", message));
    }
    if held.generation() < book.oldest(held) {
        let message = format!("{what} is of generation {}, long past", held.generation());
        return Err(Rejection::time("delivery-old", message));
    }
    let mut age = Age::New;
    for other in there {
        if (other.purpose, &other.scope, other.epoch) != (held.purpose, &held.scope, held.epoch) {
            continue;
        }
        if held.purpose == Purpose::Epoch && other.version > held.version {
            let message = format!("{what} is of version {}, here is a newer one", held.version);
            return Err(Rejection::time("delivery-old", message));
        }
        if other.version == held.version && other.kcv != held.kcv {
            let message = format!("{what} is another key under the name of one that is here");
            return Err(Rejection::wire("delivery-changed", message));
        }
        if other.version == held.version {
            age = Age::Known;
        }
    }
    Ok(age)
}
