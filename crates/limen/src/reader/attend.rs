//! `limen reader run --config`: real readers, each in a thread of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use credential::aws_lc::AwsLc;
use credential::crypto::P256Secret;
use edge::pcsc::{Attendant, CardLink, Event, Unfound, attend};
use edge::reader_host::ReaderHost;
use serde_json::{Value, json};
use vocabulary::code::PlaceCode;

use super::config::{Config, Slot, Sync};
use super::run::describe;
use super::sync::{Shared, Told, exchange, held};
use crate::failure::{Failure, OrFail, chain};
use crate::world;

/// Attends all slots, and hands each event to `tell` until so many taps are over.
pub(super) fn run(
    config: &Config,
    taps: Option<u64>,
    tell: &dyn Fn(&Value) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut hosts: BTreeMap<PathBuf, Arc<Shared>> = BTreeMap::new();
    for folder in config.folders() {
        let host = ReaderHost::open_with(folder, Box::new(AwsLc), config.settings);
        let host = host.map_err(|error| super::not_started(&error))?;
        hosts.insert(folder.into(), Arc::new(Mutex::new(host)));
    }
    let (sender, events) = channel();
    for slot in &config.slots {
        let Some(host) = hosts.get(&slot.folder) else { continue };
        start(slot, Arc::clone(host), sender.clone())?;
    }
    drop(sender);
    follow(&events, taps, tell, config.sync, &hosts)
}

fn start(slot: &Slot, host: Arc<Shared>, events: Sender<Value>) -> Result<(), Failure> {
    let Slot { reader, door, .. } = slot.clone();
    let thread = std::thread::Builder::new().name(String::from("slot"));
    // It ends with the process.
    let post = move || {
        let mut post = Post { slot: reader.clone(), door, host, events };
        attend(&reader, &AtomicBool::new(false), &mut post);
    };
    thread.spawn(post).or_fail("cannot start a thread").map(drop)
}

/// Tells events as they come, and talks to the city when it is time.
fn follow(
    events: &Receiver<Value>,
    taps: Option<u64>,
    tell: &dyn Fn(&Value) -> Result<(), Failure>,
    sync: Option<Sync>,
    hosts: &BTreeMap<PathBuf, Arc<Shared>>,
) -> Result<(), Failure> {
    let (synced, outcomes) = channel();
    let mut next = Instant::now();
    let mut seen = 0;
    while taps.is_none_or(|limit| seen < limit) {
        if let Some(Sync { every, journal }) = sync.filter(|_| next <= Instant::now()) {
            next = Instant::now() + every;
            for (folder, host) in hosts {
                let (folder, host, synced) = (folder.clone(), Arc::clone(host), synced.clone());
                let thread = std::thread::Builder::new().name(String::from("sync"));
                let job = move || drop(synced.send(sync_once(&folder, &host, journal)));
                thread.spawn(job).or_fail("cannot start a thread")?;
            }
        }
        for outcome in outcomes.try_iter() {
            tell(&outcome)?;
        }
        match events.recv_timeout(LOOK) {
            Ok(event) => {
                seen += u64::from(event.get("event").is_some_and(|it| it == "tap"));
                tell(&event)?;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::broken("no reader is attended any more"));
            }
        }
    }
    Ok(())
}

/// How often it is asked whether it is time for the city.
const LOOK: Duration = Duration::from_secs(1);

fn sync_once(folder: &Path, host: &Shared, journal: bool) -> Value {
    match exchange(host, folder, journal) {
        Ok(Told { records, has_renewed }) => {
            let epoch = held(host).engine().watermark().bundle_epoch;
            json!({
                "event": "synced", "folder": folder.display().to_string(),
                "bundle_epoch": epoch, "journal_records_accepted": records,
                "certificate_renewed": has_renewed,
            })
        }
        Err(failure) => not_synced(folder, &failure),
    }
}

fn not_synced(folder: &Path, failure: &Failure) -> Value {
    let folder = folder.display().to_string();
    json!({ "event": "not-synced", "folder": folder, "reason": failure.to_string() })
}

/// Who stands at one slot.
struct Post {
    slot: String,
    door: PlaceCode,
    host: Arc<Shared>,
    events: Sender<Value>,
}

impl Post {
    fn tell(&self, mut event: Value) {
        if let Some(event) = event.as_object_mut() {
            event.insert("slot".into(), self.slot.clone().into());
            event.insert("door".into(), self.door.as_str().into());
        }
        // When nobody listens any more the process is about to end.
        let _ = self.events.send(event);
    }
}

impl Attendant for Post {
    fn hear(&mut self, event: Event<'_>) {
        self.tell(match event {
            Event::Ready { reader } => json!({ "event": "ready", "reader": reader }),
            Event::Unfound(Unfound::Missing) => {
                json!({ "event": "reader-missing", "reason": "PC/SC knows no such reader" })
            }
            Event::Unfound(Unfound::Ambiguous(names)) => json!({
                "event": "reader-ambiguous",
                "reason": format!("the name means several: {}", names.join(", ")),
            }),
            Event::NoService(error) => json!({
                "event": "no-service",
                "reason": format!("pcscd does not answer: {error}"),
            }),
            Event::Unusable(error) => {
                json!({ "event": "card-unusable", "reason": error.to_string() })
            }
            Event::Silent => json!({
                "event": "card-silent",
                "reason": "the card does not answer; the reader waits until it is gone",
            }),
        });
    }

    fn serve(&mut self, card: &mut CardLink) {
        let secret = world::entropy().map(P256Secret::from_bytes);
        let tapped = secret.map_err(|failure| failure.to_string()).and_then(|secret| {
            let tapped = held(&self.host).tap(card, self.door.clone(), secret, &world::now);
            tapped.map_err(|error| chain(&error))
        });
        self.tell(match tapped {
            Ok(report) => describe(&report),
            Err(reason) => json!({ "event": "broken-tap", "reason": reason }),
        });
    }
}
