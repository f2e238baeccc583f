//! Whatever is in the field: a tap begins, is talked to, and comes to its verdict.

use credential::crypto::{Algorithm, BadKey, Crypto, P256Secret, Signature};
use credential::x509::SignerCache;
use vocabulary::code::PlaceCode;
use vocabulary::time::Instant;

#[cfg(feature = "danger-sabotage")]
use super::judge::Measure;
use super::judge::{Bench, Verdict};
use super::pace::Pace;
use super::tap::{self, Plan, Tap};
use super::{Engine, Output};
use crate::decision::{Decision, Reason};
use crate::table::{Door, ZoneClass};
use crate::taps::TapPolicy;

impl Engine {
    pub(super) fn begin(
        &mut self,
        crypto: &dyn Crypto,
        now: Instant,
        door: PlaceCode,
        secret: P256Secret,
    ) {
        let before = self.tap.take();
        if let Some((door, verdict)) =
            before.and_then(|mut tap| Some((tap.door().clone(), tap.torn()?)))
        {
            self.torn(now, door, verdict);
        }
        let ready = match self.taps_at(&door) {
            None => Err(Reason::NoBundle),
            Some(policy) => self.time(now).map(|_| policy),
        };
        let policy = match ready {
            Ok(policy) => policy,
            Err(reason) => return self.conclude(now, door, Verdict::refused(reason)),
        };
        let drawn = self.draw(crypto, &secret);
        let express = self.express_terms(now, &door, &drawn);
        let standard = self.standard_start(crypto, &door, &drawn);
        let identity = Some(self.session_secret(drawn.secret));
        let plan = Plan { express, standard, identity };
        let pace = Pace::new(policy.bound);
        match Tap::new(crypto, now, (door.clone(), pace), plan, &self.config) {
            Ok(tap) => {
                self.tap = Some(tap);
                self.drain(crypto, now);
            }
            Err(BadKey) => self.conclude(now, door, Verdict::refused(Reason::ReaderFault)),
        }
    }

    /// The class of a door; the highest for one that the bundle does not know.
    pub(super) fn class(&self, door: &PlaceCode) -> ZoneClass {
        let table = self.bundle.as_ref().map(|bundle| &bundle.bundle().table);
        table.and_then(|table| table.door(door)).map_or(ZoneClass::High, Door::class)
    }

    /// What a tap must prove at a door and how fast, by the bundle and by what the reader itself asks
    /// for: the stronger and the tighter count.
    pub(super) fn taps_at(&self, door: &PlaceCode) -> Option<TapPolicy> {
        let class = self.class(door);
        let policy = self.bundle.as_ref()?.bundle().taps.of(class);
        Some(TapPolicy {
            least: policy.least.max(self.config.least),
            bound: policy.bound.tightened(self.config.bounds.of(class)),
            ..policy
        })
    }

    pub(super) fn talk(&mut self, crypto: &dyn Crypto, now: Instant, say: impl FnOnce(&mut Tap)) {
        if let Some(tap) = &mut self.tap {
            say(tap);
            self.drain(crypto, now);
        }
    }

    pub(super) fn signed(&mut self, crypto: &dyn Crypto, now: Instant, bytes: &[u8]) {
        let Some(tap) = &mut self.tap else { return };
        if let Ok(signature) = Signature::new(Algorithm::Es256, bytes) {
            tap.signed(crypto, now, &signature);
        } else {
            tap.fail(Reason::ReaderFault, None);
        }
        self.drain(crypto, now);
    }

    /// Carries out what the session of the tap asks for.
    fn drain(&mut self, crypto: &dyn Crypto, now: Instant) {
        while let Some(mut tap) = self.tap.take() {
            let Some(step) = tap.step(crypto, now, &self.config, self.signer.as_deref()) else {
                self.tap = Some(tap);
                return;
            };
            match step {
                tap::Step::Command(command) => self.outputs.push_back(Output::Command(command)),
                tap::Step::Sign(bytes) => self.outputs.push_back(Output::Sign(bytes)),
                tap::Step::Answer(presented) => {
                    let verdict = self.bench(crypto, now, tap.door(), |bench, cache| {
                        bench.judge(&presented, cache)
                    });
                    self.conclude(now, tap.door().clone(), verdict);
                }
                tap::Step::Accessed(shown) => self.accessed(crypto, now, &mut tap, shown),
                tap::Step::Absent(rejection) => {
                    self.conclude(now, tap.door().clone(), Verdict::rejected(rejection));
                }
                tap::Step::Recognised(key) => self.recognised(crypto, now, &mut tap, &key),
                tap::Step::OpenHandle(context, handle) => {
                    self.outputs.push_back(Output::OpenHandle { context, handle });
                }
                tap::Step::Proven(context, proven) => {
                    if self.proven(crypto, now, &mut tap, (context, &proven)) {
                        continue;
                    }
                }
                tap::Step::Committed(verdict) => {
                    self.conclude(now, tap.door().clone(), verdict);
                    continue;
                }
                tap::Step::Torn(verdict) => {
                    self.torn(now, tap.door().clone(), verdict);
                    continue;
                }
                tap::Step::Ended(reason, rejection) => {
                    let verdict = Verdict { rejection, ..Verdict::refused(reason) };
                    self.conclude(now, tap.door().clone(), verdict);
                    continue;
                }
                tap::Step::Over => continue,
            }
            self.tap = Some(tap);
        }
    }

    /// Has a verdict made by what the reader knows now, the least profile of the door included: a bundle
    /// that raises it binds a tap under way.
    pub(super) fn bench(
        &mut self,
        crypto: &dyn Crypto,
        now: Instant,
        door: &PlaceCode,
        judge: impl FnOnce(&Bench<'_>, &mut SignerCache) -> Verdict,
    ) -> Verdict {
        let at = match self.time(now) {
            Ok(at) => at,
            Err(reason) => return Verdict::refused(reason),
        };
        let Some(bundle) = &self.bundle else { return Verdict::refused(Reason::NoBundle) };
        let bench = Bench {
            crypto,
            bundle,
            status: &self.status,
            door,
            at,
            #[cfg(feature = "danger-sabotage")]
            sabotage: self.sabotage,
        };
        let verdict = judge(&bench, &mut self.cache);
        let is_granted = matches!(verdict.decision, Decision::Granted { .. });
        let least = self.taps_at(door).map(|taps| taps.least);
        if is_granted && verdict.trace.profile() < least {
            return Verdict { decision: Decision::Refused(Reason::ProfileTooLow), ..verdict };
        }
        verdict
    }

    #[cfg(not(feature = "danger-sabotage"))]
    #[allow(clippy::unused_self, reason = "the other form of this function uses it")]
    fn session_secret(&self, secret: P256Secret) -> P256Secret {
        secret
    }

    #[cfg(feature = "danger-sabotage")]
    fn session_secret(&mut self, secret: P256Secret) -> P256Secret {
        if self.sabotage.breaks(Measure::Nonce) {
            return self.reused.get_or_insert(secret).clone();
        }
        secret
    }
}
