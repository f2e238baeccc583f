//! The story: its steps in order, what each is expected to end with, and what it ended with.

mod issue;
mod ledger;
mod taps;
mod token;

use std::time::Instant;

use serde_json::{Value, json};

use super::stage::{Process, Stage};
use crate::failure::Failure;

/// How a step can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was done.
    Done,
    /// A door opened, or a phone gave something away.
    Granted,
    /// Somebody said no.
    Refused,
}

impl Outcome {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Granted => "granted",
            Self::Refused => "refused",
        }
    }
}

/// One step as it was played.
#[derive(Debug)]
pub(super) struct Step {
    /// For programs.
    pub(super) name: &'static str,
    /// For people.
    pub(super) title: &'static str,
    /// How it should end.
    pub(super) expected: Outcome,
    /// How it ended.
    pub(super) outcome: Outcome,
    /// Why, in plain words.
    pub(super) reason: String,
    /// How long it took, processes started and ended included.
    pub(super) duration_us: u64,
    /// The tap, if there was one.
    pub(super) tap: Option<Tap>,
}

/// A tap as the reader saw it.
#[derive(Debug)]
pub(super) struct Tap {
    /// From the first command to the deed, in microseconds.
    pub(super) duration_us: u64,
    /// The profile by which a pass was shown, where one was.
    pub(super) profile: Option<String>,
    /// Command and response APDUs in order, base64url.
    pub(super) apdus: Vec<[String; 2]>,
}

impl Step {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "expected": self.expected.as_str(),
            "outcome": self.outcome.as_str(),
            "reason": self.reason,
            "duration_us": self.duration_us,
        })
    }
}

/// What a step comes to.
pub(super) struct Ending {
    outcome: Outcome,
    reason: String,
    tap: Option<Tap>,
}

impl Ending {
    fn done(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Done, reason: reason.into(), tap: None }
    }

    fn refused(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Refused, ..Self::done(reason) }
    }
}

/// The whole story.
#[derive(Debug)]
pub(super) struct Story {
    /// The steps, in order.
    pub(super) steps: Vec<Step>,
    /// The audit log at the end: `size`, `root`, `verified`.
    pub(super) log: Value,
}

/// What one step leaves for later ones.
#[derive(Default)]
pub(super) struct Props {
    person: Option<api::person::Person>,
    lost: Option<api::pass::Pass>,
    badge: Option<api::pass::Pass>,
    waiting: Option<api::pass::Pass>,
    lists: Vec<Vec<u8>>,
    door: Option<(Process, String)>,
    gate: Option<(Process, String)>,
    recorded: Vec<[String; 2]>,
    deeds: u64,
    log: Value,
}

type Scene = fn(&mut Stage, &mut Props) -> Result<Ending, Failure>;
type Line = (&'static str, &'static str, Outcome, Scene);

const SCENES: [Line; 24] = {
    use Outcome::{Done, Granted, Refused};
    [
        (
            "create-city",
            "The city makes its root, authorities and signers",
            Done,
            issue::create_city,
        ),
        ("start-server", "The server starts", Done, issue::start_server),
        ("products", "Two products, three doors, one person", Done, issue::furnish),
        (
            "accept-badge",
            "Mira's phone accepts a staff badge (OpenID4VCI)",
            Done,
            issue::accept_badge,
        ),
        ("accept-ticket", "Mira's phone accepts a first-class ticket", Done, issue::accept_ticket),
        ("accept-third", "Mira's old phone accepts a badge too", Done, issue::accept_third),
        ("revoke-third", "The old phone is lost: its badge is revoked", Done, issue::revoke_third),
        ("enrol-door", "A reader is enrolled at the staff door", Done, issue::enrol_door),
        ("enrol-gate", "A reader is enrolled at two gates, zones B and C", Done, issue::enrol_gate),
        (
            "stop-server",
            "The server stops: from here on there is no network",
            Done,
            issue::stop_server,
        ),
        ("tap-door", "Mira taps the staff door with her badge", Granted, taps::door),
        ("tap-gate", "Mira taps the gate of zone B with her ticket", Granted, taps::gate),
        ("replayed", "A recorded session is played to the gate again", Refused, taps::replayed),
        ("wrong-zone", "The same ticket at a gate of zone C", Refused, taps::wrong_zone),
        ("copied-ticket", "The same ticket file on another phone", Refused, taps::copied),
        ("month-later", "The same ticket a month later", Refused, taps::month_later),
        ("tampered", "A hacked phone changes the class on the ticket", Refused, taps::tampered),
        ("rogue-reader", "A rogue reader asks Mira's phone", Refused, taps::rogue),
        ("revoked", "The lost phone taps the staff door", Refused, taps::revoked),
        ("way-out", "Somebody wants to go out", Granted, taps::way_out),
        ("restart-server", "The server starts again", Done, ledger::restart),
        ("upload-journals", "The readers bring their journals", Done, ledger::upload),
        ("checkpoint", "The audit log's checkpoint covers them", Done, ledger::checkpoint),
        (
            "verify-log",
            "Anyone verifies the log: every entry, and that it only grew",
            Done,
            ledger::verify,
        ),
    ]
};

/// After this scene the token is pulled, if the keys are on one.
const BEFORE_PULL: &str = "restart-server";

const TOKEN_SCENES: [Line; 4] = {
    use Outcome::{Done, Granted, Refused};
    [
        ("pull-token", "The token is pulled: a phone asks for its pass", Refused, token::pulled),
        ("tap-without-token", "Mira taps the gate with her ticket", Granted, token::tap),
        ("revoke-without-token", "Mira's badge is revoked", Done, token::revoke),
        ("return-token", "The token comes back", Done, token::returned),
    ]
};

const LAST_TOKEN_SCENES: [Line; 2] = [
    (
        "reader-keys",
        "The gate's reader has its keys from the token",
        Outcome::Done,
        token::reader_keys,
    ),
    (
        "foreign-client",
        "Another program lists the keys on the tokens",
        Outcome::Done,
        token::foreign,
    ),
];

/// The scenes of a story, with or without a token.
fn scenes(has_token: bool) -> Vec<Line> {
    let mut scenes = Vec::new();
    for scene in SCENES {
        scenes.push(scene);
        if has_token && scene.0 == BEFORE_PULL {
            scenes.extend(TOKEN_SCENES);
        }
    }
    if has_token {
        scenes.extend(LAST_TOKEN_SCENES);
    }
    scenes
}

/// Plays every scene and tells each step as it ends. What breaks a scene ends the story.
pub(super) fn play(
    stage: &mut Stage,
    mut tell: impl FnMut(&Step) -> Result<(), Failure>,
) -> Result<Story, Failure> {
    let mut props = Props::default();
    let mut steps = Vec::new();
    for (name, title, expected, scene) in scenes(stage.has_token()) {
        let began = Instant::now();
        let Ending { outcome, reason, tap } = scene(stage, &mut props)?;
        let duration_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let step = Step { name, title, expected, outcome, reason, duration_us, tap };
        tell(&step)?;
        steps.push(step);
    }
    Ok(Story { steps, log: props.log })
}
