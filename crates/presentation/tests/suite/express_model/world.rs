//! The express tap as the ends of it run: what each sends for what it takes.

use std::rc::Rc;

use super::term::{Aead, Id, Knowledge, Term, Terms};

/// The protocol, or what is left of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protocol {
    /// The keys of a tap depend on T.
    pub(crate) has_transcript_in_keys: bool,
    /// The associated data of its messages is T.
    pub(crate) has_transcript_in_aad: bool,
    /// N_R is in T.
    pub(crate) has_reader_fresh: bool,
    /// N_H is in T.
    pub(crate) has_holder_fresh: bool,
    /// The proprietary template is in T.
    pub(crate) has_versions: bool,
    /// Scope and epoch are in K_seal, K_hold and the associated data of handles.
    pub(crate) has_context: bool,
    /// Scope and epoch are in T.
    pub(crate) has_context_in_transcript: bool,
    /// Each scope and epoch has an epoch key of its own.
    pub(crate) has_key_per_context: bool,
    /// Each direction has a key of its own.
    pub(crate) has_key_per_direction: bool,
    /// The holder answers after PROVE only.
    pub(crate) has_prove: bool,
    /// A handle that was shown is not shown again.
    pub(crate) marks: bool,
    /// The messages of a direction have different nonces.
    pub(crate) counts: bool,
    /// A message is taken at its own place only.
    pub(crate) checks_counter: bool,
    /// A message is told from others by its length.
    pub(crate) checks_length: bool,
    /// Not of the protocol: GCM gives its key away when a nonce comes twice.
    pub(crate) has_torn_gcm: bool,
}

impl Protocol {
    pub(crate) const WHOLE: Self = Self {
        has_transcript_in_keys: true,
        has_transcript_in_aad: true,
        has_reader_fresh: true,
        has_holder_fresh: true,
        has_versions: true,
        has_context: true,
        has_context_in_transcript: true,
        has_key_per_context: true,
        has_key_per_direction: true,
        has_prove: true,
        marks: true,
        counts: true,
        checks_counter: true,
        checks_length: true,
        has_torn_gcm: true,
    };
}

/// Who takes part, how often, and what the intruder begins with.
pub(crate) struct Cast {
    /// Taps of gates: the number of the gate and of its context.
    pub(crate) gates: &'static [(usize, usize)],
    /// Holders, each with the contexts of its handles, in the order in which it shows them.
    pub(crate) holders: &'static [&'static [usize]],
    /// OPENs that each holder answers.
    pub(crate) opens_each: usize,
    /// The intruder has the first handle of the first holder, from an OPEN of its own.
    pub(crate) has_harvest: bool,
    /// The intruder is a rider, too: it has a handle of the first context with its tap key.
    pub(crate) has_insider: bool,
    /// The intruder knows the epoch key of this context.
    pub(crate) leaked: Option<usize>,
    /// Uses are counted: COMMIT follows.
    pub(crate) has_commit: bool,
    /// The intruder may change the proprietary template.
    pub(crate) has_versions: bool,
}

pub(crate) struct HandleOf {
    /// None: the intruder itself.
    pub(crate) owner: Option<usize>,
    pub(crate) context: usize,
    pub(crate) term: Id,
    pub(crate) tap_key: Id,
    pub(crate) content: Id,
}

/// The terms of a protocol with a cast.
pub(crate) struct World {
    pub(crate) protocol: Protocol,
    pub(crate) cast: Cast,
    pub(crate) terms: Terms,
    pub(crate) handles: Vec<HandleOf>,
    pub(crate) epoch_keys: Vec<Id>,
    pub(crate) contexts: Vec<Id>,
    pub(crate) reader_fresh: Vec<Id>,
    /// One for each OPEN of each holder.
    pub(crate) holder_fresh: Vec<Vec<Id>>,
    pub(crate) standings: Vec<Vec<Id>>,
    pub(crate) states: Vec<Id>,
    pub(crate) names: Vec<Id>,
    /// As holders say it, and as an intruder would have it.
    pub(crate) versions: [Id; 2],
    pub(crate) own: Id,
    pub(crate) begin: Rc<Knowledge>,
}

/// What a message is, which its length tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Prove,
    Proven,
    Commit,
    Committed,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Prove, Self::Proven, Self::Commit, Self::Committed];

    const fn is_of_reader(self) -> bool {
        matches!(self, Self::Prove | Self::Commit)
    }

    const fn is_second(self) -> bool {
        matches!(self, Self::Commit | Self::Committed)
    }
}

/// What both ends of a tap agree on, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Meeting {
    pub(crate) tap_key: Id,
    pub(crate) handle: Id,
    pub(crate) context: usize,
    pub(crate) reader_fresh: Id,
    pub(crate) holder_fresh: Id,
    pub(crate) versions: Id,
}

impl World {
    pub(crate) fn new(protocol: Protocol, cast: Cast) -> Self {
        let mut terms = Terms::default();
        terms.has_torn_gcm = protocol.has_torn_gcm;
        let mut atoms = |what: &str, count: usize| -> Vec<Id> {
            (0..count).map(|n| terms.atom(format!("{what} {n}"))).collect()
        };
        let contexts = atoms("context", 2);
        let epoch_keys = atoms("K", if protocol.has_key_per_context { 2 } else { 1 });
        let reader_fresh = atoms("N_R of tap", cast.gates.len());
        let names = atoms("gate", 3);
        let states = atoms("state by tap", cast.gates.len());
        let each = |(holder, _)| {
            let fresh = atoms(&format!("N_H of holder {holder}"), cast.opens_each);
            (fresh, atoms(&format!("standing of holder {holder}"), cast.opens_each))
        };
        let (holder_fresh, standings) = cast.holders.iter().enumerate().map(each).unzip();
        let versions = [terms.atom("versions"), terms.atom("versions cut")];
        let own = terms.atom("a value of the intruder");
        let mut world = Self {
            protocol,
            cast,
            terms,
            handles: Vec::new(),
            epoch_keys,
            contexts,
            reader_fresh,
            holder_fresh,
            standings,
            states,
            names,
            versions,
            own,
            begin: Rc::default(),
        };
        world.issue();
        world.begin = world.beginning();
        world
    }

    fn issue(&mut self) {
        for (holder, contexts) in self.cast.holders.iter().enumerate() {
            for (number, context) in contexts.iter().enumerate() {
                self.seal(Some(holder), *context, &format!("holder {holder}, {number}"));
            }
        }
        if self.cast.has_insider {
            self.seal(None, 0, "intruder");
        }
    }

    fn seal(&mut self, owner: Option<usize>, context: usize, words: &str) {
        let content = self.terms.atom(format!("content of {words}"));
        let nonce = self.terms.atom(format!("nonce of {words}"));
        let (key, aad) = self.seal_key(context);
        let term = self.terms.make(Term::Aead(Aead { key, nonce, aad, text: content }));
        let tap_key = self.tap_key(context, term);
        self.handles.push(HandleOf { owner, context, term, tap_key, content });
    }

    fn epoch_key(&self, context: usize) -> Id {
        *self.epoch_keys.get(context).unwrap_or(&self.epoch_keys[0])
    }

    fn bound(&mut self, context: usize) -> (Id, Id) {
        let key = self.epoch_key(context);
        let nothing = self.terms.atom("nothing");
        (key, if self.protocol.has_context { self.contexts[context] } else { nothing })
    }

    /// K_seal, and the associated data.
    pub(crate) fn seal_key(&mut self, context: usize) -> (Id, Id) {
        let (key, bound) = self.bound(context);
        let label = self.terms.atom("handle");
        (self.terms.prf(key, "seal", bound), self.terms.tuple(&[label, bound]))
    }

    pub(crate) fn tap_key(&mut self, context: usize, handle: Id) -> Id {
        let (key, bound) = self.bound(context);
        let hold = self.terms.prf(key, "hold", bound);
        self.terms.prf(hold, "tap", handle)
    }

    fn beginning(&mut self) -> Rc<Knowledge> {
        let words = ["nothing", "handle", "seal", "hold", "tap", "reader", "holder", "T", "1", "2"];
        let mut known: Vec<Id> = words.iter().map(|word| self.terms.atom(*word)).collect();
        known.extend(Kind::ALL.map(|kind| self.terms.atom(format!("{kind:?}"))));
        known.extend(self.contexts.iter().chain(&self.names).chain(&self.versions).copied());
        known.push(self.own);
        // Gates say OPEN to whoever is there.
        known.extend(&self.reader_fresh);
        known.extend(self.cast.has_harvest.then(|| self.handles[0].term));
        known.extend(self.cast.leaked.map(|context| self.epoch_key(context)));
        let own = self.handles.iter().filter(|handle| handle.owner.is_none());
        known.extend(own.flat_map(|handle| [handle.term, handle.tap_key, handle.content]));
        Rc::new(Knowledge::default()).with(&self.terms, &known)
    }

    /// T.
    fn transcript(&mut self, meeting: &Meeting) -> Id {
        let label = self.terms.atom("T");
        let mut parts = vec![label, meeting.handle];
        let context = self.contexts[meeting.context];
        parts.extend(self.protocol.has_context_in_transcript.then_some(context));
        parts.extend(self.protocol.has_reader_fresh.then_some(meeting.reader_fresh));
        parts.extend(self.protocol.has_holder_fresh.then_some(meeting.holder_fresh));
        parts.extend(self.protocol.has_versions.then_some(meeting.versions));
        let all = self.terms.tuple(&parts);
        self.terms.make(Term::Hash(all))
    }

    pub(crate) fn text(&mut self, kind: Kind, value: Id) -> Id {
        let kind = self.terms.atom(format!("{kind:?}"));
        self.terms.tuple(&[kind, value])
    }

    /// A message of a tap that says `value`.
    pub(crate) fn message(&mut self, meeting: &Meeting, kind: Kind, value: Id) -> Id {
        let (key, nonce, aad) = self.place(meeting, kind);
        let text = self.text(kind, value);
        self.terms.make(Term::Aead(Aead { key, nonce, aad, text }))
    }

    fn place(&mut self, meeting: &Meeting, kind: Kind) -> (Id, Id, Id) {
        let (transcript, nothing) = (self.transcript(meeting), self.terms.atom("nothing"));
        let or_nothing = |has_transcript: bool| if has_transcript { transcript } else { nothing };
        let aad = or_nothing(self.protocol.has_transcript_in_aad);
        let bound = or_nothing(self.protocol.has_transcript_in_keys);
        let is_of_reader = kind.is_of_reader() || !self.protocol.has_key_per_direction;
        let label = if is_of_reader { "reader" } else { "holder" };
        let key = self.terms.prf(meeting.tap_key, label, bound);
        let is_second = kind.is_second() && self.protocol.counts;
        let nonce = self.terms.atom(if is_second { "2" } else { "1" });
        (key, nonce, aad)
    }

    /// The texts that an end takes at this place, of all that the intruder can send.
    pub(crate) fn texts(&mut self, known: &Knowledge, meeting: &Meeting, kind: Kind) -> Vec<Id> {
        let (key, nonce, aad) = self.place(meeting, kind);
        let mark = self.terms.atom(format!("{kind:?}"));
        let Self { protocol, terms, .. } = &*self;
        let sealed = known.sealed.iter().filter_map(|id| terms.sealed(*id));
        let fits = sealed.filter(|it| {
            let is_in_place = it.nonce == nonce || !protocol.checks_counter;
            let Term::Tuple(parts) = terms.get(it.text) else { return false };
            let is_of_kind = parts[0] == mark || !protocol.checks_length;
            (it.key, it.aad) == (key, aad) && is_in_place && is_of_kind
        });
        let mut texts: Vec<Id> = fits.map(|it| it.text).collect();
        if known.can_make(terms, key) && known.can_make(terms, aad) {
            let values = [self.own, self.names[0], self.names[1]];
            let all = if kind == Kind::Prove { &values[..] } else { &values[..1] };
            texts.extend(all.iter().map(|value| self.text(kind, *value)));
        }
        texts.sort_unstable();
        texts.dedup();
        texts
    }

    /// What the text says, whatever it was meant for.
    pub(crate) fn value(&self, text: Id) -> Id {
        let Term::Tuple(parts) = self.terms.get(text) else { return text };
        parts[1]
    }

    pub(crate) fn handle_of(&self, term: Id) -> Option<&HandleOf> {
        self.handles.iter().find(|handle| handle.term == term)
    }

    /// Whether the handle is of an honest holder and its epoch key is nowhere else.
    pub(crate) fn is_guarded(&self, term: Id) -> bool {
        let is_leaked = |handle: &HandleOf| self.cast.leaked == Some(handle.context);
        self.handle_of(term).is_some_and(|handle| handle.owner.is_some() && !is_leaked(handle))
    }
}
