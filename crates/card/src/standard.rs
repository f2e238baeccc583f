//! The standard tap of the card (`specs/standard-tap.md`): the engine of a phone, with the passes of the
//! card's applications and nobody to ask.
//!
//! A card has no clock. Of the time it knows what it is not before: what the operator said who loaded the
//! pass, and the latest beginning of a certificate by which a reader proved itself since.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use credential::crypto::{Crypto, P256Secret};
use presentation::apdu::StatusWord;
use presentation::standard::device::{
    self, Credential, Device, DeviceError, Input, Memory as DeviceMemory, Output, ReaderKey, Setup,
};
use presentation::standard::message::{Signaling, Timestamps};
use presentation::standard::{Dialect, ReaderIdentifier, Transport, Version, group_of};
use vocabulary::time::Instant;

use crate::memory::{Memory, MemoryFault};
use crate::pass::Pass;
use crate::record::PassRecord;
use crate::store::Store;
use crate::{APPLICATIONS_MAX, ENTROPY_BYTES};

/// The instant that the engine is handed: nothing in it waits for one, as the field is the clock.
const NO_TIME: Instant = Instant::from_unix_seconds(0);

/// The application of the standard tap; nothing where no tap is under way.
#[derive(Default)]
pub(crate) struct Standard(Option<Box<Tap>>);

struct Tap {
    device: Device,
    passes: Vec<Held>,
    /// The application whose pass is shown, once the reader has proved itself.
    shown: Option<usize>,
}

/// The pass of an application.
struct Held {
    slot: usize,
    device_key: [u8; 65],
    record: PassRecord,
    bytes: Vec<u8>,
}

impl Standard {
    /// The application is selected: a tap with fresh entropy.
    pub(crate) fn begin<M: Memory>(
        store: &Store<M>,
        crypto: &dyn Crypto,
        entropy: &[u8; ENTROPY_BYTES],
    ) -> Self {
        let (Ok(passes), Some((ephemeral, filler))) =
            (held(store, crypto), entropy.split_first_chunk::<32>())
        else {
            return Self(None);
        };
        let Ok(filler) = filler.try_into() else { return Self(None) };
        let setup = Setup {
            credentials: credentials(crypto, &passes),
            versions: [Version::V1_0].into(),
            vendor: None,
            transport: Transport::Nfc,
            dialect: Dialect::default(),
        };
        let mut device = Device::new(setup, DeviceMemory::default());
        let ephemeral = P256Secret::from_bytes(*ephemeral);
        let entropy = device::Entropy { ephemeral, filler };
        device.handle(crypto, NO_TIME, Input::Tap(entropy));
        Self(Some(Box::new(Tap { device, passes, shown: None })))
    }

    pub(crate) fn handle<M: Memory>(
        &mut self,
        store: &mut Store<M>,
        crypto: &dyn Crypto,
        apdu: &[u8],
    ) -> Vec<u8> {
        let nothing = || StatusWord::CONDITIONS.0.to_be_bytes().to_vec();
        let Some(tap) = &mut self.0 else { return nothing() };
        tap.device.handle(crypto, NO_TIME, Input::Command(apdu));
        let (mut answer, mut is_over) = (None, false);
        while let Some(output) = tap.device.poll_output() {
            match output {
                Output::Response(bytes) => answer = Some(bytes),
                Output::Sign { device_key, message, reader, name, since, .. } => {
                    let is_named = name.as_deref() == Some(name_of(&reader).as_str());
                    let signed =
                        is_named.then(|| tap.sign(store, crypto, &device_key, &message, since));
                    let input = signed.as_ref().and_then(|signed| signed.as_ref().ok());
                    let input = input.map_or(Input::Decline, Input::Signature);
                    tap.device.handle(crypto, NO_TIME, input);
                }
                Output::StepUp { device_request, .. } => {
                    let found = tap.passes.iter().find(|held| Some(held.slot) == tap.shown);
                    let pass = found.and_then(|held| Pass::parse(&held.bytes).ok());
                    let answer = pass.and_then(|pass| pass.answer(&device_request));
                    let input = answer.as_deref().map_or(Input::Decline, Input::Respond);
                    tap.device.handle(crypto, NO_TIME, input);
                }
                Output::Ended(outcome) => {
                    is_over = true;
                    // Which pass is shown next time is a matter of order: a fault here loses nothing.
                    let _ = tap.end(store, crypto, &outcome);
                }
                // No key for a fast tap is kept, and no mailbox.
                Output::Save | Output::FastProof { .. } | Output::ReaderStatus(_) => {}
            }
        }
        if is_over {
            self.0 = None;
        }
        answer.unwrap_or_else(nothing)
    }
}

impl Tap {
    /// The reader has proved itself: the card keeps what that says of the time, and proves itself.
    fn sign<M: Memory>(
        &mut self,
        store: &mut Store<M>,
        crypto: &dyn Crypto,
        device_key: &[u8; 65],
        message: &[u8],
        since: Option<Instant>,
    ) -> Result<credential::crypto::Signature, MemoryFault> {
        let mut passes = self.passes.iter_mut();
        let held = passes.find(|held| held.device_key == *device_key).ok_or(MemoryFault)?;
        let since = since.map_or(0, Instant::unix_seconds);
        if since > held.record.floor {
            held.record.floor = since;
            store.save_pass_record(crypto, held.slot, &held.record)?;
        }
        let mut application = store.application(crypto, held.slot)?;
        if application.for_nothing > 0 {
            // As in a phone: who drained the handles was not this reader.
            application.for_nothing = 0;
            store.save_application(crypto, held.slot, &application)?;
        }
        self.shown = Some(held.slot);
        crypto.p256_sign(&held.record.access_key, message).map_err(|_| MemoryFault)
    }

    /// A pass for which the door stayed closed is shown after the others of the same authority.
    fn end<M: Memory>(
        &mut self,
        store: &mut Store<M>,
        crypto: &dyn Crypto,
        outcome: &Result<(), DeviceError>,
    ) -> Result<(), MemoryFault> {
        let Some(slot) = self.shown.take() else { return Ok(()) };
        let Some(mut record) = store.pass_record(crypto, slot)? else { return Ok(()) };
        let refused = match outcome {
            Ok(()) => 0,
            Err(DeviceError::ReaderFailed(_)) => self.behind_others(store, crypto, slot)?,
            Err(_) => record.refused,
        };
        if refused == record.refused {
            return Ok(());
        }
        record.refused = refused;
        store.save_pass_record(crypto, slot, &record)
    }
}

impl Tap {
    /// The place behind all passes but that of `slot`. Places begin anew before they run out.
    fn behind_others<M: Memory>(
        &self,
        store: &mut Store<M>,
        crypto: &dyn Crypto,
        slot: usize,
    ) -> Result<u8, MemoryFault> {
        let others = || self.passes.iter().filter(|held| held.slot != slot);
        let last = others().map(|held| held.record.refused).max().unwrap_or(0);
        if let Some(next) = last.checked_add(1) {
            return Ok(next);
        }
        for held in others() {
            store.save_pass_record(
                crypto,
                held.slot,
                &PassRecord { refused: 0, ..held.record.clone() },
            )?;
        }
        Ok(1)
    }
}

/// The passes of the card, those first that opened where they were shown last.
fn held<M: Memory>(store: &Store<M>, crypto: &dyn Crypto) -> Result<Vec<Held>, MemoryFault> {
    let root = store.root(crypto)?;
    let mut passes = Vec::with_capacity(APPLICATIONS_MAX);
    for (slot, scope) in root.directory.iter().enumerate() {
        if scope.is_none() {
            continue;
        }
        let Some(record) = store.pass_record(crypto, slot)? else { continue };
        let bytes = store.pass(crypto, slot, &record)?;
        let device_key = Pass::parse(&bytes).ok().and_then(|pass| pass.device_key());
        let device_key = device_key.ok_or(MemoryFault)?;
        passes.push(Held { slot, device_key, record, bytes });
    }
    passes.sort_by_key(|held| held.record.refused);
    Ok(passes)
}

/// One for each pass and reader authority.
fn credentials(crypto: &dyn Crypto, passes: &[Held]) -> Vec<Credential> {
    let mut credentials = Vec::new();
    for held in passes {
        let Ok(pass) = Pass::parse(&held.bytes) else { continue };
        let floor = Instant::from_unix_seconds(held.record.floor);
        let credential = |authority: &[u8; 65]| Credential {
            group: group_of(crypto, authority),
            reader_key: ReaderKey::IssuerSince(*authority, floor),
            device_key: held.device_key,
            key_slot: Pass::key_slot(crypto, held.device_key),
            documents: Signaling::ACCESS_DOCUMENT.with(Signaling::STEP_UP_SELECT),
            timestamps: Timestamps::default(),
        };
        credentials.extend(pass.authorities.iter().map(credential));
    }
    credentials
}

/// The name that a certificate of this reader has.
fn name_of(reader: &ReaderIdentifier) -> String {
    reader.sub_group.iter().map(|byte| format!("{byte:02x}")).collect()
}
