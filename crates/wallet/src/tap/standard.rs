//! The standard tap and the fast one within a tap.

use alloc::boxed::Box;
use alloc::string::{String, ToString};

use presentation::apdu::StatusWord;
use presentation::profile::Profile;
use presentation::standard::device;
use vocabulary::time::Instant;

use super::{Hands, Output, STANDARD_TAPS_MAX, Shown, Stage, Tap, TapError};
use crate::log::{self, Entry};
use crate::standard::{Application, Event};

impl Tap {
    /// A command for the application of the standard tap; the first of each begins one.
    pub(super) fn standard_command(&mut self, hands: &mut Hands<'_>, now: Instant, apdu: &[u8]) {
        if self.standard.is_none() && self.standard_taps < STANDARD_TAPS_MAX {
            self.standard_taps = self.standard_taps.saturating_add(1);
            self.standard = Application::new(hands, now).map(Box::new);
        }
        if self.standard.is_none() {
            let status = StatusWord::CONDITIONS.0.to_be_bytes();
            return self.outputs.push_back(Output::Response(status.to_vec()));
        }
        self.standard_input(hands, now, device::Input::Command(apdu));
    }

    pub(super) fn standard_input(
        &mut self,
        hands: &mut Hands<'_>,
        now: Instant,
        input: device::Input<'_>,
    ) {
        if let Some(application) = &mut self.standard {
            application.handle(hands, now, input);
            self.drain_standard(hands, now);
        }
    }

    pub(super) fn drain_standard(&mut self, hands: &mut Hands<'_>, now: Instant) {
        while let Some(event) = self.standard.as_mut().and_then(|it| it.poll_event()) {
            match event {
                Event::Response(apdu) => self.outputs.push_back(Output::Response(apdu)),
                Event::Ask(proposal) => self.outputs.push_back(Output::Ask(proposal)),
                Event::Nothing => self.standard = None,
                Event::Over { reader, left, result } => {
                    self.standard = None;
                    self.stage = Stage::Finished;
                    self.reader = reader;
                    let shown = left.clone().ok_or(TapError::Unfinished);
                    self.finish(hands, now, left, result.and(shown));
                }
            }
        }
    }

    /// Writes the owner's log, and says how the tap ended.
    pub(super) fn finish(
        &mut self,
        hands: &mut Hands<'_>,
        now: Instant,
        left: Option<Shown>,
        result: Result<Shown, TapError>,
    ) {
        let outcome = match &result {
            Ok(shown) if shown.profile == Profile::Fast => String::from("fast tap"),
            Ok(_) => String::from("shown"),
            Err(error) => error.to_string(),
        };
        let entry = Entry {
            at: now,
            with: core::mem::take(&mut self.reader),
            pass: left.as_ref().map(|shown| shown.pass.clone()).unwrap_or_default(),
            disclosed: left.map(|shown| shown.elements).unwrap_or_default(),
            outcome,
        };
        log::append(&mut hands.state.log, entry);
        self.outputs.push_back(Output::Finished(result));
    }
}
