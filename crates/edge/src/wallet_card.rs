//! A wallet as what answers commands in a reader: the part of a phone that emulates a card.

use credential::crypto::{Crypto, P256Secret};
use presentation::apdu::StatusWord;
use vocabulary::time::Instant;
use wallet::choose::Proposal;
use wallet::tap::{Consent, Input, Output, Shown, Tap, TapError};

use crate::vpcd::{self, CardApplication};
use crate::wallet_host::WalletHost;

/// What a phone knows of the world around it.
pub struct Surroundings<'w> {
    /// Provider of cryptography.
    pub crypto: &'w dyn Crypto,
    /// The time.
    pub clock: &'w dyn Fn() -> Instant,
    /// Fresh entropy for one session.
    pub secret: &'w dyn Fn() -> Option<P256Secret>,
    /// The owner.
    pub decide: &'w mut dyn FnMut(&Proposal) -> Consent,
}

/// A wallet in the field. It is over once a tap has ended; [`WalletCard::take`] makes it ready again.
pub struct WalletCard<'w> {
    host: &'w mut WalletHost,
    around: Surroundings<'w>,
    tap: Option<Tap>,
    ended: Option<Result<Shown, TapError>>,
}

impl<'w> WalletCard<'w> {
    /// A wallet that no reader has asked anything yet.
    pub const fn new(host: &'w mut WalletHost, around: Surroundings<'w>) -> Self {
        Self { host, around, tap: None, ended: None }
    }

    /// How the last tap ended, if one has; then save the wallet.
    pub const fn take(&mut self) -> Option<Result<Shown, TapError>> {
        self.ended.take()
    }

    /// The wallet, to save it.
    #[must_use]
    pub const fn host(&self) -> &WalletHost {
        self.host
    }

    /// The tap that is under way, or a new one.
    fn tap(&mut self) -> Option<&mut Tap> {
        if self.tap.is_none() {
            let secret = (self.around.secret)()?;
            let now = (self.around.clock)();
            self.tap = Tap::new(self.around.crypto, now, secret, vpcd::limits()).ok();
        }
        self.tap.as_mut()
    }

    fn handle(&mut self, input: Input<'_>) -> Option<Vec<u8>> {
        let mut response = None;
        let mut next = Some(input);
        let tap = self.tap.as_mut()?;
        while let Some(input) = next.take() {
            self.host.handle(self.around.crypto, tap, (self.around.clock)(), input);
            while let Some(output) = tap.poll_output() {
                match output {
                    Output::Response(apdu) => response = Some(apdu),
                    Output::Ask(proposal) => {
                        next = Some(Input::Consent((self.around.decide)(&proposal)));
                    }
                    Output::Finished(result) => self.ended = Some(result),
                }
            }
        }
        response
    }
}

impl CardApplication for WalletCard<'_> {
    fn reset(&mut self) {
        self.handle(Input::LinkLost);
        self.tap = None;
    }

    fn command(&mut self, apdu: &[u8]) -> Vec<u8> {
        let refused = |status: StatusWord| status.0.to_be_bytes().to_vec();
        if self.tap().is_none() {
            return refused(StatusWord::FAILURE);
        }
        // A session that is over answers nothing any more.
        self.handle(Input::Command(apdu)).unwrap_or_else(|| refused(StatusWord::CONDITIONS))
    }

    fn is_over(&self) -> bool {
        self.ended.is_some()
    }
}
