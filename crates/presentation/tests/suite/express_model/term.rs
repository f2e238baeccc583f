//! Messages as terms, each kept once, and what an intruder can make of those that it saw.

use std::collections::HashMap;
use std::rc::Rc;

/// A term, by its place in [`Terms`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(u32);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Term {
    /// What has no parts: a name, a key, a fresh value.
    Atom(String),
    Tuple(Vec<Id>),
    /// HMAC of the second under the first.
    Prf(Id, Id),
    Hash(Id),
    Aead(Aead),
}

/// Authenticated encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Aead {
    pub(crate) key: Id,
    pub(crate) nonce: Id,
    pub(crate) aad: Id,
    pub(crate) text: Id,
}

/// All terms of a world.
#[derive(Default)]
pub(crate) struct Terms {
    terms: Vec<Term>,
    places: HashMap<Term, Id>,
    /// Whether two messages under one key and nonce give the key away.
    pub(crate) has_torn_gcm: bool,
}

impl Terms {
    pub(crate) fn make(&mut self, term: Term) -> Id {
        if let Some(id) = self.places.get(&term) {
            return *id;
        }
        let id = Id(u32::try_from(self.terms.len()).unwrap());
        self.terms.push(term.clone());
        self.places.insert(term, id);
        id
    }

    pub(crate) fn atom(&mut self, name: impl Into<String>) -> Id {
        self.make(Term::Atom(name.into()))
    }

    pub(crate) fn tuple(&mut self, parts: &[Id]) -> Id {
        self.make(Term::Tuple(parts.to_vec()))
    }

    /// HMAC under `key` of a label and a value.
    pub(crate) fn prf(&mut self, key: Id, label: &str, value: Id) -> Id {
        let label = self.atom(label);
        let data = self.tuple(&[label, value]);
        self.make(Term::Prf(key, data))
    }

    pub(crate) fn get(&self, id: Id) -> &Term {
        &self.terms[id.0 as usize]
    }

    /// The name of an atom.
    pub(crate) fn word(&self, id: Id) -> &str {
        if let Term::Atom(name) = self.get(id) { name } else { "a made term" }
    }

    pub(crate) fn sealed(&self, id: Id) -> Option<&Aead> {
        if let Term::Aead(aead) = self.get(id) { Some(aead) } else { None }
    }
}

/// What the intruder has, taken apart as far as it goes.
#[derive(Clone, Default)]
pub(crate) struct Knowledge {
    known: Vec<bool>,
    /// What is sealed, opened or not.
    pub(crate) sealed: Vec<Id>,
}

impl Knowledge {
    fn has(&self, id: Id) -> bool {
        self.known.get(id.0 as usize).copied().unwrap_or(false)
    }

    /// Whether it has the term or can put it together.
    pub(crate) fn can_make(&self, terms: &Terms, id: Id) -> bool {
        self.has(id)
            || match terms.get(id) {
                Term::Atom(_) => false,
                Term::Tuple(parts) => parts.iter().all(|part| self.can_make(terms, *part)),
                Term::Prf(key, data) => self.can_make(terms, *key) && self.can_make(terms, *data),
                Term::Hash(of) => self.can_make(terms, *of),
                Term::Aead(it) => [it.key, it.nonce, it.aad, it.text]
                    .iter()
                    .all(|part| self.can_make(terms, *part)),
            }
    }

    /// With more terms, and what follows from them.
    pub(crate) fn with(self: &Rc<Self>, terms: &Terms, more: &[Id]) -> Rc<Self> {
        let mut grown = Self::clone(self);
        more.iter().for_each(|id| grown.take(terms, *id));
        while let Some(id) = grown.opens(terms) {
            grown.take(terms, id);
        }
        Rc::new(grown)
    }

    fn take(&mut self, terms: &Terms, id: Id) {
        if self.has(id) {
            return;
        }
        let place = id.0 as usize;
        if self.known.len() <= place {
            self.known.resize(place + 1, false);
        }
        self.known[place] = true;
        match terms.get(id) {
            Term::Tuple(parts) => parts.clone().into_iter().for_each(|part| self.take(terms, part)),
            Term::Aead(_) => self.sealed.push(id),
            _ => {}
        }
    }

    /// Something new inside what it has: the text under a key that it can make; the key itself, as the worst
    /// that can come of it, where GCM sealed two things under one key and nonce.
    fn opens(&self, terms: &Terms) -> Option<Id> {
        let sealed = self.sealed.iter().filter_map(|id| terms.sealed(*id));
        sealed.clone().find_map(|it| {
            let is_open = !self.has(it.text) && self.can_make(terms, it.key);
            let twice =
                |other: &Aead| (other.key, other.nonce) == (it.key, it.nonce) && other != it;
            let is_torn = || terms.has_torn_gcm && !self.has(it.key) && sealed.clone().any(twice);
            is_open.then_some(it.text).or_else(|| is_torn().then_some(it.key))
        })
    }
}
