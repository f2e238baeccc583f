//! The answers of a transaction, as the reader takes them.

use alloc::boxed::Box;

use credential::crypto::{Crypto, PublicKey, Signature};
use zeroize::Zeroizing;

use super::super::exchange::{Exchange, ExchangeAnswer};
use super::super::message::{
    Auth0, Auth0Answer, Auth1, Auth1Answer, CredentialName, Offer, Signaling,
};
use super::super::schedule::{Context, StandardKeys, Usage};
use super::super::{
    AUTH0, AUTH1, CLASS, EXCHANGE, EnvelopeForm, LOAD_CERT, STEP_UP_APPLICATION, Version,
};
use super::{
    ANSWER_TIMEOUT, Authenticated, CALLER_TIMEOUT, Carrier, Output, Phase, RESPONSE_TIMEOUT,
    Reader, ReaderError, Stage,
};
use crate::apdu::{CLASS_LAST, ENVELOPE, object};
use crate::session::message::SessionData;
use crate::session::{Channel, End};

/// Ephemeral keys are exchanged, and the keys of the standard phase agreed on.
#[derive(Debug)]
pub(super) struct Keyed {
    context: Context,
    agreed: Zeroizing<[u8; 32]>,
    keys: StandardKeys,
}

/// The device named its credential; its signature is not verified yet.
#[derive(Debug)]
pub(super) struct Named {
    context: Context,
    agreed: Zeroizing<[u8; 32]>,
    channel: Channel,
    answer: Auth1Answer,
    step_up: Channel,
}

/// The device proved itself.
#[derive(Debug)]
pub(super) struct Open {
    channel: Channel,
    /// The channel of the step-up phase; none after the fast phase, or without documents.
    step_up: Option<Channel>,
    needs_select: bool,
}

impl Reader {
    /// The whole answer to a command.
    pub(super) fn received(&mut self, crypto: &dyn Crypto, data: &[u8]) -> Result<(), ReaderError> {
        match core::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Selecting => self.selected(data),
            Stage::Asking(offer, version) => self.asked(crypto, data, offer, version),
            Stage::Preparing { keyed, signature } if data.is_empty() => {
                self.stage = Stage::Preparing { keyed, signature };
                self.wait(CALLER_TIMEOUT);
                self.prove()
            }
            Stage::Proving(keyed) => self.proved(crypto, data, *keyed),
            Stage::Exchanging(mut open, reads) => {
                let opened = open.channel.open(crypto, data).map_err(ReaderError::Channel)?;
                let answer =
                    ExchangeAnswer::parse(&opened, &reads).map_err(ReaderError::Exchange)?;
                self.outputs.push_back(Output::Exchanged(answer));
                self.open(open);
                Ok(())
            }
            Stage::SelectingStepUp(mut open, request) => {
                open.needs_select = false;
                self.envelope(crypto, open, &request)
            }
            Stage::Enveloping(open) => self.enveloped(crypto, data, open),
            _ => Err(ReaderError::Unexpected),
        }
    }

    fn selected(&mut self, data: &[u8]) -> Result<(), ReaderError> {
        let offer = match Offer::parse(data) {
            Ok(offer) => offer,
            Err(error) => {
                self.stage = Stage::Selecting;
                return Err(ReaderError::Data(error));
            }
        };
        let known = |version: &&Version| self.setup.versions.contains(version);
        let version = *offer.versions.iter().find(known).ok_or(ReaderError::NoVersion)?;
        let command = self.auth0(version);
        let expected_bytes = self.expected_bytes();
        self.send(CLASS, AUTH0, &command.encode(), expected_bytes, RESPONSE_TIMEOUT)?;
        self.stage = Stage::Asking(offer, version);
        Ok(())
    }

    fn auth0(&self, version: Version) -> Auth0 {
        Auth0 {
            fast: self.setup.stored.is_some(),
            policy: self.setup.policy,
            version,
            reader_ephemeral: self.agreement.public(),
            transaction: self.transaction,
            reader: self.setup.reader,
            vendor: self.setup.vendor.clone(),
        }
    }

    /// AUTH0 is answered: done if a kept key opens the proof, else the caller signs.
    fn asked(
        &mut self,
        crypto: &dyn Crypto,
        data: &[u8],
        offer: Offer,
        version: Version,
    ) -> Result<(), ReaderError> {
        let command = self.auth0(version);
        let answer = Auth0Answer::parse(data, command.fast).map_err(ReaderError::Data)?;
        if answer.device_ephemeral == command.reader_ephemeral {
            return Err(ReaderError::DeviceEphemeral);
        }
        let context = Context {
            group_key: self.setup.group_key,
            reader: self.setup.reader,
            transport: self.setup.transport,
            version,
            reader_ephemeral: command.reader_ephemeral,
            device_ephemeral: answer.device_ephemeral,
            transaction: self.transaction,
            flags: command.flags(),
            proprietary: offer.proprietary,
            vendor: command.vendor,
            vendor_answer: answer.vendor,
        };
        if let (Some(stored), Some(cryptogram)) = (&self.setup.stored, &answer.cryptogram)
            && let Some(found) = stored.find(crypto, &context, cryptogram)
        {
            let device_key = found.stored.device_key;
            let keys = context.fast_keys(crypto, &found.stored.key, &device_key);
            let authenticated = Authenticated {
                phase: Phase::Fast,
                version,
                device_key,
                signaling: found.signaling,
                timestamps: Some(found.timestamps),
                mailbox: None,
                persistent_key: None,
            };
            self.outputs.push_back(Output::Authenticated(Box::new(authenticated)));
            let channel = Channel::new(End::Reader, keys.exchange);
            self.open(Box::new(Open { channel, step_up: None, needs_select: false }));
            return Ok(());
        }
        self.prepare(crypto, context)
    }

    /// The caller signs, and the certificate goes ahead if it has a command of its own.
    fn prepare(&mut self, crypto: &dyn Crypto, context: Context) -> Result<(), ReaderError> {
        let shared = self.agreement.agree(&context.device_ephemeral);
        let shared = shared.map_err(|_| ReaderError::DeviceEphemeral)?;
        let agreed = context.agreed(crypto, &shared);
        let keys = context.standard_keys(crypto, &agreed);
        self.outputs.push_back(Output::Sign { message: context.signed(Usage::Reader) });
        self.wait(CALLER_TIMEOUT);
        let certificate = self.setup.certificate.as_ref();
        let ahead = certificate.filter(|known| known.carrier == Carrier::LoadCert);
        if let Some(compressed) = ahead.map(|known| known.compressed.clone()) {
            let expected_bytes = self.expected_bytes();
            self.send(CLASS, LOAD_CERT, &compressed, expected_bytes, RESPONSE_TIMEOUT)?;
        }
        let keyed = Box::new(Keyed { context, agreed, keys });
        self.stage = Stage::Preparing { keyed, signature: None };
        Ok(())
    }

    pub(super) fn signature(&mut self, signed: &Signature) -> Result<(), ReaderError> {
        let Stage::Preparing { signature: signature @ None, .. } = &mut self.stage else {
            return Err(ReaderError::Unexpected);
        };
        let bytes = signed.as_bytes().try_into().map_err(|_| ReaderError::Unexpected)?;
        *signature = Some(bytes);
        self.prove()
    }

    /// Sends AUTH1 once the signature is there and no other command is out.
    fn prove(&mut self) -> Result<(), ReaderError> {
        let stage = core::mem::replace(&mut self.stage, Stage::Closed);
        let Stage::Preparing { keyed, signature } = stage else {
            return Err(ReaderError::Unexpected);
        };
        let Some(signature) = signature.filter(|_| !self.link.is_busy()) else {
            self.stage = Stage::Preparing { keyed, signature };
            return Ok(());
        };
        let certificate = self.setup.certificate.as_ref();
        let inside = certificate.filter(|known| known.carrier == Carrier::Auth1);
        let certificate = inside.map(|known| known.compressed.clone());
        let command = Auth1 { naming: self.setup.naming, signature, certificate };
        let expected_bytes = self.expected_bytes();
        self.send(CLASS, AUTH1, &command.encode(), expected_bytes, ANSWER_TIMEOUT)?;
        self.stage = Stage::Proving(keyed);
        Ok(())
    }

    /// AUTH1 is answered.
    fn proved(
        &mut self,
        crypto: &dyn Crypto,
        data: &[u8],
        keyed: Keyed,
    ) -> Result<(), ReaderError> {
        let Keyed { context, agreed, keys } = keyed;
        let step_up = Channel::new(End::Reader, keys.step_up(crypto));
        let mut channel = Channel::new(End::Reader, keys.exchange);
        let opened = channel.open(crypto, data).map_err(ReaderError::Channel)?;
        let answer = Auth1Answer::parse(&opened, &self.setup.dialect).map_err(ReaderError::Data)?;
        let named = Named { context, agreed, channel, answer, step_up };
        match named.answer.credential {
            CredentialName::PublicKey(key) => self.verify(crypto, named, &key),
            CredentialName::KeySlot(key_slot) => {
                self.outputs.push_back(Output::NeedDeviceKey { key_slot });
                self.stage = Stage::Naming(Box::new(named));
                self.wait(CALLER_TIMEOUT);
                Ok(())
            }
        }
    }

    pub(super) fn device_key(
        &mut self,
        crypto: &dyn Crypto,
        key: Option<&[u8; 65]>,
    ) -> Result<(), ReaderError> {
        match core::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Naming(named) => {
                self.verify(crypto, *named, key.ok_or(ReaderError::UnknownDevice)?)
            }
            _ => Err(ReaderError::Unexpected),
        }
    }

    fn verify(
        &mut self,
        crypto: &dyn Crypto,
        named: Named,
        device_key: &[u8; 65],
    ) -> Result<(), ReaderError> {
        let Named { context, agreed, channel, answer, step_up } = named;
        let message = context.signed(Usage::Device);
        crypto
            .verify(&PublicKey::P256(*device_key), &message, &answer.signature)
            .map_err(|_| ReaderError::DeviceSignature)?;
        let persistent = context.persistent_key(crypto, &agreed, device_key);
        let signaling = answer.signaling;
        let authenticated = Authenticated {
            phase: Phase::Standard,
            version: context.version,
            device_key: *device_key,
            signaling,
            timestamps: answer.timestamps,
            mailbox: answer.mailbox,
            persistent_key: Some(persistent),
        };
        self.outputs.push_back(Output::Authenticated(Box::new(authenticated)));
        let has_documents = signaling.has(Signaling::ACCESS_DOCUMENT)
            || signaling.has(Signaling::REVOCATION_DOCUMENT);
        self.open(Box::new(Open {
            channel,
            step_up: has_documents.then_some(step_up),
            needs_select: signaling.has(Signaling::STEP_UP_SELECT),
        }));
        Ok(())
    }

    fn open(&mut self, open: Box<Open>) {
        self.stage = Stage::Open(open);
        self.wait(CALLER_TIMEOUT);
    }

    pub(super) fn exchange(
        &mut self,
        crypto: &dyn Crypto,
        exchange: &Exchange,
    ) -> Result<(), ReaderError> {
        let mut open = self.opened()?;
        let bytes = exchange.encode(self.setup.dialect.exchange);
        let sealed = open.channel.seal(crypto, &bytes).map_err(ReaderError::Channel)?;
        self.send(CLASS, EXCHANGE, &sealed, 256, RESPONSE_TIMEOUT)?;
        self.stage = Stage::Exchanging(open, exchange.reads());
        Ok(())
    }

    pub(super) fn step_up(
        &mut self,
        crypto: &dyn Crypto,
        request: &[u8],
    ) -> Result<(), ReaderError> {
        let open = self.opened()?;
        if open.step_up.is_none() {
            return Err(ReaderError::NoStepUp);
        }
        if open.needs_select {
            self.select(&STEP_UP_APPLICATION)?;
            self.stage = Stage::SelectingStepUp(open, request.to_vec());
            return Ok(());
        }
        self.envelope(crypto, open, request)
    }

    fn envelope(
        &mut self,
        crypto: &dyn Crypto,
        mut open: Box<Open>,
        request: &[u8],
    ) -> Result<(), ReaderError> {
        let channel = open.step_up.as_mut().ok_or(ReaderError::NoStepUp)?;
        let sealed = channel.seal(crypto, request).map_err(ReaderError::Channel)?;
        let data = match self.setup.dialect.envelope {
            EnvelopeForm::Bare => sealed,
            EnvelopeForm::Object => {
                let message = SessionData { data: Some(&sealed), status: None }.encode();
                object::wrap(&message).map_err(|_| ReaderError::Envelope)?
            }
        };
        self.send(CLASS_LAST, ENVELOPE, &data, 256, ANSWER_TIMEOUT)?;
        self.stage = Stage::Enveloping(open);
        Ok(())
    }

    fn enveloped(
        &mut self,
        crypto: &dyn Crypto,
        data: &[u8],
        mut open: Box<Open>,
    ) -> Result<(), ReaderError> {
        let sealed = match self.setup.dialect.envelope {
            EnvelopeForm::Bare => data,
            EnvelopeForm::Object => {
                let message = object::unwrap(data).map_err(|_| ReaderError::Envelope)?;
                let message = SessionData::parse(message).map_err(|_| ReaderError::Envelope)?;
                message.data.ok_or(ReaderError::Envelope)?
            }
        };
        let channel = open.step_up.as_mut().ok_or(ReaderError::NoStepUp)?;
        let device_response = channel.open(crypto, sealed).map_err(ReaderError::Channel)?;
        self.outputs.push_back(Output::StepUp { device_response });
        self.open(open);
        Ok(())
    }

    /// The caller's turn, and nobody else's.
    fn opened(&mut self) -> Result<Box<Open>, ReaderError> {
        match core::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Open(open) => Ok(open),
            _ => Err(ReaderError::Unexpected),
        }
    }
}
