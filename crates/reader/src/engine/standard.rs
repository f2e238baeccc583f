//! The standard tap and the fast one in the engine: whether to try them, and what came of them.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;

use credential::crypto::Crypto;
use presentation::profile::Profile;
use presentation::standard::message::Naming;
use presentation::standard::reader::{Carrier, Certificate, Entropy, Setup};
use presentation::standard::{Dialect, ReaderIdentifier, Transport, Version, group_of};
use vocabulary::code::PlaceCode;
use vocabulary::time::Instant;

use super::express::Drawn;
use super::judge::{Accessed, Verdict};
use super::tap::{Start, Tap};
use super::{Engine, StandardIdentity};
use crate::decision::{Decision, Reason};

impl Engine {
    /// With what the standard tap begins at `door`, if it is to be tried. The fast tap is its first half,
    /// where the door takes that.
    pub(super) fn standard_start(
        &self,
        crypto: &dyn Crypto,
        door: &PlaceCode,
        drawn: &Drawn,
    ) -> Option<Start> {
        let StandardIdentity { group_key, certificate } = self.config.standard.as_ref()?;
        let least = self.taps_at(door)?.least;
        if least > Profile::Standard {
            return None;
        }
        let known = (least <= Profile::Fast).then(|| self.known.keys());
        let setup = Setup {
            reader: ReaderIdentifier {
                group: group_of(crypto, group_key),
                sub_group: *self.config.reader.as_bytes(),
            },
            group_key: *group_key,
            certificate: Some(Certificate {
                compressed: certificate.clone(),
                carrier: Carrier::LoadCert,
            }),
            versions: vec![Version::V1_0],
            transport: Transport::Nfc,
            dialect: Dialect::default(),
            policy: 0,
            naming: Naming::PublicKey,
            vendor: None,
            stored: known.filter(|keys| !keys.as_slice().is_empty()),
        };
        let entropy =
            Entropy { ephemeral: drawn.ephemeral.clone(), transaction: drawn.transaction };
        Some(Start { setup: Arc::new(setup), entropy })
    }

    /// The holder proved its key and showed a document: judge both.
    pub(super) fn accessed(
        &mut self,
        crypto: &dyn Crypto,
        now: Instant,
        tap: &mut Tap,
        shown: Box<Accessed>,
    ) {
        let is_fast = self.taps_at(tap.door()).is_some_and(|taps| taps.least <= Profile::Fast);
        let (mut learnt, device_key) = (None, shown.device.device_key);
        let verdict = self.bench(crypto, now, tap.door(), |bench, cache| {
            let (verdict, facts) = bench.judge_access(&shown, cache);
            learnt = facts;
            verdict
        });
        // What it said before it proved itself anew counts no more, whatever it says now.
        self.known.forget(&device_key);
        let is_granted = matches!(verdict.decision, Decision::Granted { .. });
        if let (true, true, Some(learnt), Some(key)) =
            (is_fast, is_granted, learnt, shown.device.persistent_key)
            // Whether its owner is there, only the use of the key of a document tells.
            && !learnt.rights.holder_only
        {
            self.known.keep(learnt, key);
        }
        self.conclude(now, tap.door().clone(), verdict);
        tap.conclude(crypto, now, is_granted);
    }

    /// The holder proved itself by the key that a tap before left: judge what was learnt then.
    pub(super) fn recognised(
        &mut self,
        crypto: &dyn Crypto,
        now: Instant,
        tap: &mut Tap,
        device_key: &[u8; 65],
    ) {
        let verdict = match self.known.find(device_key).cloned() {
            Some(learnt) => self
                .bench(crypto, now, tap.door(), |bench, cache| bench.judge_learnt(&learnt, cache)),
            // INVARIANT: a device that is recognised is one of those that are known.
            None => Verdict::refused(Reason::ReaderFault),
        };
        let is_granted = matches!(verdict.decision, Decision::Granted { .. });
        self.conclude(now, tap.door().clone(), verdict);
        tap.conclude(crypto, now, is_granted);
    }
}
