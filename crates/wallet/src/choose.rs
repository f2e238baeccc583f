//! Which pass fits what a reader asks for, and what would leave the wallet.

use alloc::string::String;
use alloc::vec::Vec;

use credential::mdoc::{DocRequest, IssuerSigned};
use vocabulary::time::Instant;

use crate::pass::{Content, Document, Pass};

/// What a reader asks for and which passes could answer. The owner, or a rule of the owner, picks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The reader, by the name in its certificate, which was verified.
    pub reader: String,
    /// The document type that it asks for.
    pub doc_type: String,
    /// Passes that could answer, in the order of the wallet; at least one.
    pub candidates: Vec<Candidate>,
}

/// One pass that could answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its position among the passes of the wallet.
    pub pass: usize,
    /// Its name.
    pub name: String,
    /// The position of the document that would be shown.
    pub document: usize,
    /// What would be disclosed.
    pub elements: Vec<Element>,
}

/// One element that would be disclosed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its name space.
    pub name_space: String,
    /// Its name.
    pub name: String,
    /// Whether the reader means to keep it.
    pub is_retained: bool,
}

/// The passes that could answer `request` at `at`: only elements that were asked for, and only
/// those that the document has. Documents that are out of their dates are offered only when no
/// other is there: the reader says no then, and the owner learns why.
#[must_use]
pub fn candidates(passes: &[Pass], request: &DocRequest<'_>, at: Instant) -> Vec<Candidate> {
    let candidate = |(position, pass): (usize, &Pass)| {
        let (document, bytes) = freshest(&pass.documents, request.doc_type, at)?;
        let elements = disclosable(bytes, request)?;
        Some(Candidate { pass: position, name: pass.name.clone(), document, elements })
    };
    passes.iter().enumerate().filter_map(candidate).collect()
}

/// The document of that type which was shown least, current ones first.
fn freshest<'p>(
    documents: &'p [Document],
    doc_type: &str,
    at: Instant,
) -> Option<(usize, &'p [u8])> {
    let fits = |(position, document): (usize, &'p Document)| match &document.content {
        Content::Mdoc(bytes) if document.kind == doc_type => {
            Some((!document.is_current(at), document.shown, position, bytes.as_slice()))
        }
        _ => None,
    };
    let best = documents
        .iter()
        .enumerate()
        .filter_map(fits)
        .min_by_key(|(late, shown, position, _)| (*late, *shown, *position));
    best.map(|(_, _, position, bytes)| (position, bytes))
}

fn disclosable(bytes: &[u8], request: &DocRequest<'_>) -> Option<Vec<Element>> {
    let document = IssuerSigned::parse(bytes).ok()?;
    let asked = request.elements.iter().filter(|asked| {
        let is_it = |item: &credential::mdoc::Item<'_>| {
            item.element == asked.element && item.name_space == asked.name_space
        };
        document.items.iter().any(is_it)
    });
    let elements: Vec<Element> = asked
        .map(|asked| Element {
            name_space: asked.name_space.into(),
            name: asked.element.into(),
            is_retained: asked.intent_to_retain,
        })
        .collect();
    (!elements.is_empty()).then_some(elements)
}
