//! All runs of a world, the shortest first, and what must hold in each of them.

use std::collections::{HashSet, VecDeque};
use std::rc::Rc;

use super::term::{Id, Knowledge};
use super::world::{Kind, Meeting, World};

/// More than any of the worlds has; a world that grows past it is a fault of the test.
const STATES_MAX: usize = 1_000_000;

/// One tap of a gate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Gate {
    Opening,
    Proving(Meeting),
    /// With the text that it took.
    Proven(Meeting, Id),
    Committed(Meeting, Id, Id),
}

/// One OPEN of a holder, and what followed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    Shown(Meeting),
    /// With the text of PROVE; none where there is no such thing.
    Used(Meeting, Option<Id>),
    Written(Meeting, Option<Id>, Id),
}

/// A moment of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    gates: Vec<Gate>,
    /// The OPENs of each holder; only the last is alive.
    holders: Vec<Vec<Holder>>,
}

/// A property that does not hold, and the run that shows it.
#[derive(Debug)]
pub(crate) struct Attack {
    pub(crate) broken: &'static str,
    pub(crate) trace: Vec<String>,
}

struct Node {
    state: State,
    known: Rc<Knowledge>,
    parent: usize,
    deed: String,
}

/// What an end did: the next state, what it sent, and the deed in words.
struct Move {
    state: State,
    sent: Vec<Id>,
    deed: String,
}

/// Looks at every run; the first attack, or the number of states that were seen. What is overlooked may break.
pub(crate) fn explore(world: &mut World, overlooked: Option<&str>) -> Result<usize, Attack> {
    let gates = vec![Gate::Opening; world.cast.gates.len()];
    let holders = vec![Vec::new(); world.cast.holders.len()];
    let known = world.begin.clone();
    let state = State { gates, holders };
    let mut seen = HashSet::from([state.clone()]);
    let mut nodes = vec![Node { state, known, parent: 0, deed: String::new() }];
    let mut next = VecDeque::from([0]);
    while let Some(at) = next.pop_front() {
        for Move { state, sent, deed } in moves(world, &nodes[at].state, &nodes[at].known.clone()) {
            if !seen.insert(state.clone()) {
                continue;
            }
            let known = nodes[at].known.with(&world.terms, &sent);
            let broken = broken(world, &state, &known, overlooked);
            nodes.push(Node { state, known, parent: at, deed });
            if let Some(broken) = broken {
                return Err(Attack { broken, trace: trace(&nodes) });
            }
            assert!(nodes.len() < STATES_MAX, "the world is too large");
            next.push_back(nodes.len() - 1);
        }
        // What was looked at needs its knowledge no more.
        nodes[at].known = world.begin.clone();
    }
    Ok(nodes.len())
}

fn trace(nodes: &[Node]) -> Vec<String> {
    let mut trace = Vec::new();
    let mut at = nodes.len() - 1;
    while at != 0 {
        trace.push(nodes[at].deed.clone());
        at = nodes[at].parent;
    }
    trace.reverse();
    trace
}

fn moves(world: &mut World, state: &State, known: &Knowledge) -> Vec<Move> {
    let mut moves = Vec::new();
    for tap in 0..state.gates.len() {
        let steps = match &state.gates[tap] {
            Gate::Opening => gate_opened(world, state, known, tap),
            Gate::Proving(meeting) => gate_proven(world, known, tap, *meeting),
            Gate::Proven(meeting, text) => gate_committed(world, known, *meeting, *text),
            Gate::Committed(..) => Vec::new(),
        };
        moves.extend(steps.into_iter().map(|(gate, sent, words)| {
            let mut state = state.clone();
            state.gates[tap] = gate;
            Move {
                state,
                sent,
                deed: format!("gate {} (tap {tap}) {words}", world.cast.gates[tap].0),
            }
        }));
    }
    for holder in 0..state.holders.len() {
        let opens = holder_opens(world, state, holder);
        moves.extend(opens.into_iter().map(|(step, sent, words)| {
            let mut state = state.clone();
            state.holders[holder].push(step);
            Move { state, sent, deed: format!("holder {holder} {words}") }
        }));
        let steps = holder_goes_on(world, state, known, holder);
        moves.extend(steps.into_iter().map(|(step, sent, words)| {
            let mut state = state.clone();
            *state.holders[holder].last_mut().unwrap() = step;
            Move { state, sent, deed: format!("holder {holder} {words}") }
        }));
    }
    moves
}

type Steps<T> = Vec<(T, Vec<Id>, String)>;

/// A gate takes any handle that opens, with any fresh value.
fn gate_opened(world: &mut World, state: &State, known: &Knowledge, tap: usize) -> Steps<Gate> {
    let (name, context) = world.cast.gates[tap];
    let place = world.seal_key(context);
    let opens = |id: &Id| world.terms.sealed(*id).is_some_and(|it| (it.key, it.aad) == place);
    let handles: Vec<Id> = known.sealed.iter().copied().filter(opens).collect();
    let mut fresh = vec![world.own];
    for (holder, opens) in state.holders.iter().enumerate() {
        fresh.extend(&world.holder_fresh[holder][..opens.len()]);
    }
    let versions = if world.cast.has_versions { &world.versions[..] } else { &world.versions[..1] };
    let versions = versions.to_vec();
    let mut steps = Vec::new();
    for handle in handles {
        let tap_key = world.tap_key(context, handle);
        for (holder_fresh, versions) in
            fresh.iter().flat_map(|fresh| versions.iter().map(move |versions| (*fresh, *versions)))
        {
            let reader_fresh = world.reader_fresh[tap];
            let meeting =
                Meeting { tap_key, handle, context, reader_fresh, holder_fresh, versions };
            let prove = world.message(&meeting, Kind::Prove, world.names[name]);
            let sent = if world.protocol.has_prove { vec![prove] } else { Vec::new() };
            let words = format!("is shown {}", shown(world, &meeting));
            steps.push((Gate::Proving(meeting), sent, words));
        }
    }
    steps
}

fn shown(world: &World, meeting: &Meeting) -> String {
    let handle = world.handles.iter().position(|handle| handle.term == meeting.handle);
    let fresh = world.terms.word(meeting.holder_fresh);
    let cut = if meeting.versions == world.versions[1] { " and versions cut" } else { "" };
    format!(
        "handle {} with {fresh}{cut}",
        handle.map_or_else(|| "?".to_owned(), |at| at.to_string())
    )
}

fn gate_proven(world: &mut World, known: &Knowledge, tap: usize, meeting: Meeting) -> Steps<Gate> {
    let texts = world.texts(known, &meeting, Kind::Proven);
    let commit = world.message(&meeting, Kind::Commit, world.states[tap]);
    let sent = if world.cast.has_commit { vec![commit] } else { Vec::new() };
    let step = |text: Id| {
        let words = format!("accepts {}", world.terms.word(world.value(text)));
        (Gate::Proven(meeting, text), sent.clone(), words)
    };
    texts.into_iter().map(step).collect()
}

fn gate_committed(world: &mut World, known: &Knowledge, meeting: Meeting, text: Id) -> Steps<Gate> {
    if !world.cast.has_commit {
        return Vec::new();
    }
    let texts = world.texts(known, &meeting, Kind::Committed).into_iter();
    let words = "takes its state as written".to_owned();
    texts.map(|last| (Gate::Committed(meeting, text, last), Vec::new(), words.clone())).collect()
}

/// A holder answers any OPEN of a context of which it has a handle.
fn holder_opens(world: &mut World, state: &State, holder: usize) -> Steps<Holder> {
    let opens = state.holders[holder].len();
    if opens == world.cast.opens_each {
        return Vec::new();
    }
    let mut steps = Vec::new();
    for context in 0..world.contexts.len() {
        let Some((handle, tap_key)) = next_handle(world, state, holder, context) else { continue };
        let gates = (0..world.cast.gates.len()).map(|tap| world.reader_fresh[tap]);
        for reader_fresh in gates.chain([world.own]).collect::<Vec<_>>() {
            let holder_fresh = world.holder_fresh[holder][opens];
            let versions = world.versions[0];
            let meeting =
                Meeting { tap_key, handle, context, reader_fresh, holder_fresh, versions };
            let fresh = world.terms.word(reader_fresh);
            let words = format!("shows {} for {fresh}", shown(world, &meeting));
            let mut sent = vec![handle, holder_fresh];
            let step = if world.protocol.has_prove {
                Holder::Shown(meeting)
            } else {
                sent.push(world.message(&meeting, Kind::Proven, world.standings[holder][opens]));
                Holder::Used(meeting, None)
            };
            steps.push((step, sent, words));
        }
    }
    steps
}

fn next_handle(world: &World, state: &State, holder: usize, context: usize) -> Option<(Id, Id)> {
    let was_shown = |term: Id| {
        let was_harvested = world.cast.has_harvest && term == world.handles[0].term;
        was_harvested || state.holders[holder].iter().any(|open| open.meeting().handle == term)
    };
    let mut own = world
        .handles
        .iter()
        .filter(|handle| handle.owner == Some(holder) && handle.context == context);
    let fresh = own.find(|handle| !world.protocol.marks || !was_shown(handle.term));
    fresh.map(|handle| (handle.term, handle.tap_key))
}

fn holder_goes_on(
    world: &mut World,
    state: &State,
    known: &Knowledge,
    holder: usize,
) -> Steps<Holder> {
    let open = state.holders[holder].len().wrapping_sub(1);
    match state.holders[holder].last() {
        Some(Holder::Shown(meeting)) => {
            let standing = world.standings[holder][open];
            let proven = world.message(meeting, Kind::Proven, standing);
            let texts = world.texts(known, meeting, Kind::Prove).into_iter();
            let words = |text| format!("answers PROVE of {}", world.terms.word(world.value(text)));
            texts
                .map(|text| (Holder::Used(*meeting, Some(text)), vec![proven], words(text)))
                .collect()
        }
        Some(Holder::Used(meeting, prove)) if world.cast.has_commit => {
            let sequence = world.terms.atom("1");
            let committed = world.message(meeting, Kind::Committed, sequence);
            let texts = world.texts(known, meeting, Kind::Commit).into_iter();
            let words = |text| format!("writes {}", world.terms.word(world.value(text)));
            let step =
                |text| (Holder::Written(*meeting, *prove, text), vec![committed], words(text));
            texts.map(step).collect()
        }
        _ => Vec::new(),
    }
}

impl Gate {
    fn meeting(&self) -> Option<&Meeting> {
        match self {
            Self::Opening => None,
            Self::Proving(meeting) | Self::Proven(meeting, _) | Self::Committed(meeting, ..) => {
                Some(meeting)
            }
        }
    }

    fn accepted(&self) -> Option<(&Meeting, Id)> {
        match self {
            Self::Proven(meeting, text) | Self::Committed(meeting, text, _) => {
                Some((meeting, *text))
            }
            _ => None,
        }
    }
}

impl Holder {
    pub(crate) fn meeting(&self) -> &Meeting {
        let (Self::Shown(meeting) | Self::Used(meeting, _) | Self::Written(meeting, ..)) = self;
        meeting
    }

    fn used(&self) -> Option<(&Meeting, Option<Id>)> {
        match self {
            Self::Shown(_) => None,
            Self::Used(meeting, prove) | Self::Written(meeting, prove, _) => {
                Some((meeting, *prove))
            }
        }
    }
}

pub(crate) const SECRECY: &str = "a secret stays secret";
pub(crate) const GATE: &str = "a gate accepts what a holder said to it, once";
pub(crate) const HOLDER: &str = "a holder answers a gate that asked it, once";
pub(crate) const WRITING: &str = "a holder writes what the gate of its tap sent";
pub(crate) const WRITTEN: &str = "a gate takes as written what the holder of its tap wrote";
pub(crate) const SHOWING: &str = "a handle is shown once";

fn broken(
    world: &mut World,
    state: &State,
    known: &Knowledge,
    overlooked: Option<&str>,
) -> Option<&'static str> {
    if overlooked != Some(SHOWING) && !is_shown_once(world, state) {
        return Some(SHOWING);
    }
    if secrets(world, state).iter().any(|secret| known.can_make(&world.terms, *secret)) {
        return Some(SECRECY);
    }
    agreements(world, state)
}

fn is_shown_once(world: &World, state: &State) -> bool {
    let opens = state.holders.iter().flatten().map(|open| open.meeting().handle);
    let mut shown: Vec<Id> = opens.collect();
    shown.extend(world.cast.has_harvest.then(|| world.handles[0].term));
    let count = shown.len();
    shown.sort_unstable();
    shown.dedup();
    shown.len() == count
}

/// Epoch keys, tap keys, contents of handles, and what was said in a tap under a guarded handle.
fn secrets(world: &mut World, state: &State) -> Vec<Id> {
    let mut secrets = Vec::new();
    for (context, key) in world.epoch_keys.clone().into_iter().enumerate() {
        if world.cast.leaked != Some(context) {
            secrets.extend([key, world.seal_key(context).0]);
        }
    }
    let guarded = world.handles.iter().filter(|handle| world.is_guarded(handle.term));
    secrets.extend(guarded.flat_map(|handle| [handle.tap_key, handle.content]));
    for (standings, opens) in world.standings.iter().zip(&state.holders) {
        let said = standings.iter().zip(opens);
        let said = said.filter(|(_, open)| world.is_guarded(open.meeting().handle));
        secrets.extend(said.map(|(standing, _)| *standing));
    }
    for (written, gate) in world.states.iter().zip(&state.gates) {
        let meeting = gate.accepted().map(|(meeting, _)| meeting);
        let is_guarded = meeting.is_some_and(|meeting| world.is_guarded(meeting.handle));
        secrets.extend(is_guarded.then_some(*written));
    }
    secrets
}

/// Injective agreement, both ways: of all ends that hold the same to be so, no more than have a partner.
fn agreements(world: &World, state: &State) -> Option<&'static str> {
    let gates = || state.gates.iter().enumerate();
    let name = |tap: usize| world.names[world.cast.gates[tap].0];
    let guarded = |meeting: &&Meeting| world.is_guarded(meeting.handle);
    let agreed = |meeting: &Meeting| (meeting.handle, meeting.context, meeting.versions);

    let accepted = gates().filter_map(|(tap, gate)| {
        let (meeting, text) = gate.accepted().filter(|(meeting, _)| guarded(meeting))?;
        Some((agreed(meeting), name(tap), world.value(text)))
    });
    let opens = state.holders.iter().zip(&world.standings);
    let said = opens.flat_map(|(opens, standings)| opens.iter().zip(standings));
    let said = said.filter_map(|(open, standing)| {
        let (meeting, prove) = open.used()?;
        Some((agreed(meeting), world.value(prove?), *standing))
    });
    if !is_matched(accepted, &said.collect::<Vec<_>>()) {
        return Some(GATE);
    }
    let answered = state.holders.iter().flatten().filter_map(|open| {
        let (meeting, prove) = open.used().filter(|(meeting, _)| guarded(meeting))?;
        Some((agreed(meeting), prove.map(|text| world.value(text))))
    });
    let asked = gates().filter_map(|(tap, gate)| Some((agreed(gate.meeting()?), Some(name(tap)))));
    if !is_matched(answered, &asked.collect::<Vec<_>>()) {
        return Some(HOLDER);
    }
    is_written_by_both(world, state)
}

/// Whether each of `ends` has a partner of its own among `partners`.
fn is_matched<T: PartialEq>(ends: impl Iterator<Item = T>, partners: &[T]) -> bool {
    let ends: Vec<T> = ends.collect();
    let count = |all: &[T], one: &T| all.iter().filter(|it| *it == one).count();
    ends.iter().all(|end| count(&ends, end) <= count(partners, end))
}

fn is_written_by_both(world: &World, state: &State) -> Option<&'static str> {
    let guarded = |meeting: &Meeting| world.is_guarded(meeting.handle);
    let written = || {
        let opens = state.holders.iter().flatten();
        opens.filter_map(|open| match open {
            Holder::Written(meeting, _, text) if guarded(meeting) => {
                Some((meeting.handle, world.value(*text)))
            }
            _ => None,
        })
    };
    let gates = || state.gates.iter().zip(&world.states);
    let sent = gates().filter_map(|(gate, own)| Some((gate.accepted()?.0.handle, *own)));
    if !is_matched(written(), &sent.collect::<Vec<_>>()) {
        return Some(WRITING);
    }
    let taken = gates().filter_map(|(gate, own)| match gate {
        Gate::Committed(meeting, ..) if guarded(meeting) => Some((meeting.handle, *own)),
        _ => None,
    });
    let is_so = is_matched(taken, &written().collect::<Vec<_>>());
    (!is_so).then_some(WRITTEN)
}
