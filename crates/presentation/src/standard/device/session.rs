//! The commands of a transaction, as the device takes them.

use alloc::boxed::Box;
use alloc::vec::Vec;

use credential::crypto::{Agreement, Crypto, PublicKey, Signature};
use credential::x509::compressed::{self, VerifiedReader};

use super::super::exchange::{
    EXCHANGE_BYTES_MAX, Exchange, ExchangeAnswer, ExchangeResult, Operation,
};
use super::super::keyring::KeptKey;
use super::super::message::{
    Auth0, Auth0Answer, Auth1, Auth1Answer, ControlFlow, CredentialName, Naming, Signaling,
    Timestamps,
};
use super::super::schedule::{Context, StandardKeys, Usage};
use super::super::tlv::{TlvError, put};
use super::super::{
    AUTH0, AUTH1, CLASS, CONTROL_FLOW, EXCHANGE, EXPEDITED_APPLICATION, EnvelopeForm, ExchangeForm,
    LOAD_CERT, STEP_UP_APPLICATION,
};
use super::{CALLER_TIMEOUT, Credential, Device, DeviceError, Entropy, Output, ReaderKey, Stage};
use crate::apdu::chain::bare::Joined;
use crate::apdu::{ENVELOPE, GET_RESPONSE, SELECT, StatusWord, object};
use crate::session::message::SessionData;
use crate::session::{Channel, End};

/// Ephemeral keys are exchanged.
#[derive(Debug)]
pub(super) struct Keyed {
    context: Context,
    agreement: Box<dyn Agreement>,
    /// What the device has for the reader's group; nothing for a stranger, who shall not notice.
    credential: Option<Credential>,
    certificate: Option<Vec<u8>>,
    /// The channel of the fast phase, if it was asked for and there is a key.
    fast: Option<Channel>,
    policy: u8,
}

/// The reader proved itself.
#[derive(Debug)]
pub(super) struct Signing {
    keyed: Box<Keyed>,
    credential: Credential,
    naming: Naming,
    agreed: zeroize::Zeroizing<[u8; 32]>,
    keys: StandardKeys,
    expected_bytes: u32,
}

/// Both proved themselves.
#[derive(Debug)]
pub(super) struct Open {
    channel: Channel,
    /// The channel of the step-up phase; none after the fast phase.
    step_up: Option<Channel>,
    /// Whether the step-up phase begins with another SELECT.
    needs_select: bool,
    device_key: [u8; 65],
    expected_bytes: u32,
}

impl Device {
    /// Takes one command APDU.
    pub(super) fn dispatch(
        &mut self,
        crypto: &dyn Crypto,
        bytes: &[u8],
    ) -> Result<(), DeviceError> {
        let Some(joined) = self.joined(bytes)? else { return Ok(()) };
        let Joined { header: [class, instruction, p1, p2], data, expected_bytes } = joined;
        let is_known = match (class, instruction) {
            (0, SELECT | ENVELOPE | GET_RESPONSE) => true,
            (CLASS, AUTH0 | AUTH1 | LOAD_CERT | EXCHANGE | CONTROL_FLOW) => true,
            (0 | CLASS, _) => return Err(DeviceError::Instruction),
            _ => false,
        };
        if !is_known {
            return Err(DeviceError::Class);
        }
        let parameters = if instruction == SELECT { [4, 0] } else { [0, 0] };
        if [p1, p2] != parameters {
            return Err(DeviceError::Parameters);
        }
        let is_selecting = matches!(self.stage, Stage::Selecting { .. });
        if is_selecting && !matches!(instruction, SELECT | AUTH0 | GET_RESPONSE) {
            return Err(DeviceError::Unexpected);
        }
        if instruction == GET_RESPONSE {
            return self.get_response(&data, expected_bytes);
        }
        // A reader that goes on has no use for the rest of an answer.
        self.queue = None;
        match instruction {
            SELECT => self.select(&data, expected_bytes),
            AUTH0 => self.auth0(crypto, &data, expected_bytes),
            LOAD_CERT => self.load_certificate(data),
            AUTH1 => self.auth1(crypto, &data, expected_bytes),
            EXCHANGE => self.exchange(crypto, &data, expected_bytes),
            ENVELOPE => self.envelope(crypto, &data, expected_bytes),
            _ => self.control_flow(&data),
        }
    }

    fn get_response(&mut self, data: &[u8], expected_bytes: u32) -> Result<(), DeviceError> {
        let mut queue = self.queue.take().ok_or(DeviceError::Unexpected)?;
        if !data.is_empty() || expected_bytes == 0 {
            return Err(DeviceError::Unexpected);
        }
        self.outputs.push_back(Output::Response(queue.take(expected_bytes)));
        self.queue = (!queue.is_empty()).then_some(queue);
        Ok(())
    }

    fn select(&mut self, application: &[u8], expected_bytes: u32) -> Result<(), DeviceError> {
        match core::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Selecting { entropy, .. } => {
                let is_selected = application == EXPEDITED_APPLICATION;
                self.stage = Stage::Selecting { entropy, is_selected };
                if !is_selected {
                    self.answer(StatusWord::NOT_FOUND);
                    return Ok(());
                }
                self.answer_data(self.offer.encode(), expected_bytes)
            }
            Stage::Open(open) if application == STEP_UP_APPLICATION && open.step_up.is_some() => {
                self.stage = Stage::StepUp(open);
                let (mut inner, mut template) = (Vec::new(), Vec::new());
                put(&mut inner, 0x84, &STEP_UP_APPLICATION);
                put(&mut template, 0x6F, &inner);
                self.answer_data(template, expected_bytes)
            }
            _ => Err(DeviceError::Unexpected),
        }
    }

    fn auth0(
        &mut self,
        crypto: &dyn Crypto,
        data: &[u8],
        expected_bytes: u32,
    ) -> Result<(), DeviceError> {
        let Stage::Selecting { is_selected: true, .. } = self.stage else {
            return Err(DeviceError::Unexpected);
        };
        let command = Auth0::parse(data).map_err(DeviceError::Data)?;
        if !self.offer.versions.contains(&command.version) {
            return Err(DeviceError::Version);
        }
        // From here on the entropy is spent.
        let stage = core::mem::replace(&mut self.stage, Stage::Idle);
        let Stage::Selecting { entropy, .. } = stage else { return Err(DeviceError::Unexpected) };
        let (keyed, answer) = self.key(crypto, command, &entropy)?;
        if let (Some(_), Some(Credential { device_key, .. })) = (&keyed.fast, &keyed.credential) {
            let (reader, device_key) = (keyed.context.reader, *device_key);
            self.outputs.push_back(Output::FastProof { reader, device_key });
        }
        self.stage = Stage::Keyed(Box::new(keyed));
        self.answer_data(answer.encode(), expected_bytes)
    }

    fn key(
        &self,
        crypto: &dyn Crypto,
        command: Auth0,
        entropy: &Entropy,
    ) -> Result<(Keyed, Auth0Answer), DeviceError> {
        let agreement =
            crypto.p256_agreement(&entropy.ephemeral).map_err(|_| DeviceError::Unexpected)?;
        let device_ephemeral = agreement.public();
        let kept = self.memory.keyring.find(&command.reader).filter(|_| command.fast);
        let own = || self.setup.credentials.iter();
        let own = || own().filter(|known| known.group == command.reader.group);
        let met = kept.and_then(|kept| own().find(|known| known.device_key == kept.device_key));
        let credential = met.or_else(|| own().next()).cloned();
        let flags = command.flags();
        let context = Context {
            // A stranger gets nothing that depends on this.
            group_key: credential.as_ref().map_or([0; 65], |known| *known.reader_key.as_bytes()),
            reader: command.reader,
            transport: self.setup.transport,
            version: command.version,
            reader_ephemeral: command.reader_ephemeral,
            device_ephemeral,
            transaction: command.transaction,
            flags,
            proprietary: self.offer.proprietary.clone(),
            vendor: command.vendor,
            vendor_answer: None,
        };
        let keys = met
            .zip(kept)
            .map(|(known, kept)| (known, context.fast_keys(crypto, &kept.key, &known.device_key)));
        let (fast, cryptogram) = match keys {
            Some((known, keys)) => {
                let signaling = self.signaling(known);
                let proof = keys.cryptogram.seal(crypto, signaling, &known.timestamps);
                (Some(Channel::new(End::Holder, keys.exchange)), proof)
            }
            None => (None, entropy.filler),
        };
        let cryptogram = command.fast.then_some(cryptogram);
        let answer = Auth0Answer { device_ephemeral, cryptogram, vendor: None };
        let policy = command.policy;
        Ok((Keyed { context, agreement, credential, certificate: None, fast, policy }, answer))
    }

    fn load_certificate(&mut self, data: Vec<u8>) -> Result<(), DeviceError> {
        let Stage::Keyed(keyed) = &mut self.stage else { return Err(DeviceError::Unexpected) };
        if keyed.certificate.is_some() || data.len() > compressed::COMPRESSED_BYTES_MAX {
            return Err(DeviceError::Certificate);
        }
        keyed.certificate = Some(data);
        self.answer(StatusWord::OK);
        Ok(())
    }

    /// The reader proves itself; then the caller is asked to sign.
    fn auth1(
        &mut self,
        crypto: &dyn Crypto,
        data: &[u8],
        expected_bytes: u32,
    ) -> Result<(), DeviceError> {
        let stage = core::mem::replace(&mut self.stage, Stage::Idle);
        let Stage::Keyed(mut keyed) = stage else { return Err(DeviceError::Unexpected) };
        let command = Auth1::parse(data).map_err(DeviceError::Data)?;
        let certificate = match (keyed.certificate.take(), command.certificate) {
            (Some(_), Some(_)) => return Err(DeviceError::Certificate),
            (loaded, carried) => loaded.or(carried),
        };
        let credential = keyed.credential.take().ok_or(DeviceError::UnknownReader)?;
        let (key, name, since) = match (credential.reader_key, certificate) {
            (ReaderKey::Group(key), None) => (PublicKey::P256(key), None, None),
            (by, Some(certificate)) => {
                let reader = self.certified(crypto, &certificate, by)?;
                (reader.key, Some(reader.name), Some(reader.not_before))
            }
            _ => return Err(DeviceError::Certificate),
        };
        let context = &keyed.context;
        crypto
            .verify(&key, &context.signed(Usage::Reader), &command.signature)
            .map_err(|_| DeviceError::ReaderSignature)?;
        let shared = keyed
            .agreement
            .agree(&context.reader_ephemeral)
            .map_err(|_| DeviceError::ReaderEphemeral)?;
        let agreed = context.agreed(crypto, &shared);
        let keys = context.standard_keys(crypto, &agreed);
        self.outputs.push_back(Output::Sign {
            device_key: credential.device_key,
            message: context.signed(Usage::Device),
            reader: context.reader,
            name,
            since,
            policy: keyed.policy,
        });
        let naming = command.naming;
        let signing = Signing { keyed, credential, naming, agreed, keys, expected_bytes };
        self.stage = Stage::Signing(Box::new(signing));
        self.wait(CALLER_TIMEOUT);
        Ok(())
    }

    fn certified(
        &self,
        crypto: &dyn Crypto,
        certificate: &[u8],
        by: ReaderKey,
    ) -> Result<VerifiedReader, DeviceError> {
        let verified = match by {
            ReaderKey::Group(_) => return Err(DeviceError::Certificate),
            ReaderKey::Issuer(issuer) => {
                compressed::verify(crypto, certificate, &PublicKey::P256(issuer), self.latest)
            }
            ReaderKey::IssuerSince(issuer, floor) => {
                let issuer = PublicKey::P256(issuer);
                compressed::verify_without_clock(crypto, certificate, &issuer, floor)
            }
        };
        verified.map_err(DeviceError::CertificateRejected)
    }

    /// The caller signs with the key of another credential for the same readers.
    pub(super) fn choose(&mut self, device_key: &[u8; 65]) -> Result<(), DeviceError> {
        let Stage::Signing(signing) = &mut self.stage else { return Err(DeviceError::Unexpected) };
        let Credential { group, reader_key, .. } = signing.credential;
        let mut others = self.setup.credentials.iter();
        let chosen = others.find(|known| {
            (known.group, known.reader_key, &known.device_key) == (group, reader_key, device_key)
        });
        signing.credential = chosen.ok_or(DeviceError::Unexpected)?.clone();
        Ok(())
    }

    /// The caller has signed: answer AUTH1 and keep a key for the next tap.
    pub(super) fn sign(
        &mut self,
        crypto: &dyn Crypto,
        signature: &Signature,
    ) -> Result<(), DeviceError> {
        let stage = core::mem::replace(&mut self.stage, Stage::Idle);
        let Stage::Signing(signing) = stage else { return Err(DeviceError::Unexpected) };
        let Signing { keyed, credential, naming, agreed, keys, expected_bytes } = *signing;
        let signature = signature.as_bytes().try_into().map_err(|_| DeviceError::Unexpected)?;
        let answer = Auth1Answer {
            credential: match naming {
                Naming::KeySlot => CredentialName::KeySlot(credential.key_slot),
                Naming::PublicKey => CredentialName::PublicKey(credential.device_key),
            },
            signature,
            mailbox: None,
            signaling: self.signaling(&credential),
            timestamps: (credential.timestamps != Timestamps::default())
                .then_some(credential.timestamps),
        };
        let step_up = Channel::new(End::Holder, keys.step_up(crypto));
        let mut channel = Channel::new(End::Holder, keys.exchange);
        let sealed = channel
            .seal(crypto, &answer.encode(&self.setup.dialect))
            .map_err(DeviceError::Channel)?;
        let device_key = credential.device_key;
        let key = keyed.context.persistent_key(crypto, &agreed, &device_key);
        self.memory.keyring.keep(KeptKey { reader: keyed.context.reader, device_key, key });
        self.outputs.push_back(Output::Save);
        self.stage = Stage::Open(Box::new(Open {
            channel,
            step_up: Some(step_up),
            needs_select: credential.documents.has(Signaling::STEP_UP_SELECT),
            device_key,
            expected_bytes: 0,
        }));
        self.wait(super::COMMAND_TIMEOUT);
        self.answer_data(sealed, expected_bytes)
    }

    fn exchange(
        &mut self,
        crypto: &dyn Crypto,
        data: &[u8],
        expected_bytes: u32,
    ) -> Result<(), DeviceError> {
        let channel = self.opened()?;
        if data.len() > EXCHANGE_BYTES_MAX {
            return Err(DeviceError::Data(TlvError::Length));
        }
        let bytes = channel.open(crypto, data).map_err(DeviceError::Channel)?;
        let form = self.setup.dialect.exchange;
        let answer = match Exchange::parse(&bytes, form) {
            Ok(exchange) => self.run(&exchange),
            Err(_) => {
                self.memory.mailbox.abandon();
                ExchangeAnswer { reads: Vec::new(), result: ExchangeResult::Malformed }
            }
        };
        let channel = self.opened()?;
        let sealed = channel.seal(crypto, &answer.encode(form)).map_err(DeviceError::Channel)?;
        self.answer_data(sealed, expected_bytes)?;
        if form == ExchangeForm::Bare && answer.result != ExchangeResult::Done {
            self.end(Err(DeviceError::Data(TlvError::Value(0))));
        }
        Ok(())
    }

    fn run(&mut self, exchange: &Exchange) -> ExchangeAnswer {
        // Reads may repeat: together they must still fit an answer.
        let asked: usize = exchange.reads().into_iter().map(usize::from).sum();
        let fits = asked <= EXCHANGE_BYTES_MAX;
        let Some(outcome) = fits.then(|| self.memory.mailbox.run(exchange).ok()).flatten() else {
            self.memory.mailbox.abandon();
            return ExchangeAnswer { reads: Vec::new(), result: ExchangeResult::Range };
        };
        if outcome.has_changed {
            self.outputs.push_back(Output::Save);
        }
        for operation in &exchange.operations {
            if let Operation::ReaderStatus(status) = operation {
                self.outputs.push_back(Output::ReaderStatus(*status));
            }
        }
        ExchangeAnswer { reads: outcome.reads, result: ExchangeResult::Done }
    }

    /// The channel, which the fast phase opens with the first use.
    fn opened(&mut self) -> Result<&mut Channel, DeviceError> {
        let stage = core::mem::replace(&mut self.stage, Stage::Idle);
        self.stage = match stage {
            Stage::Keyed(keyed) => match *keyed {
                Keyed { fast: Some(channel), credential: Some(credential), .. } => {
                    let device_key = credential.device_key;
                    Stage::Open(Box::new(Open {
                        channel,
                        step_up: None,
                        needs_select: true,
                        device_key,
                        expected_bytes: 0,
                    }))
                }
                _ => return Err(DeviceError::Unexpected),
            },
            other => other,
        };
        match &mut self.stage {
            Stage::Open(open) => Ok(&mut open.channel),
            _ => Err(DeviceError::Unexpected),
        }
    }

    fn envelope(
        &mut self,
        crypto: &dyn Crypto,
        data: &[u8],
        expected_bytes: u32,
    ) -> Result<(), DeviceError> {
        let stage = core::mem::replace(&mut self.stage, Stage::Idle);
        let mut open = match stage {
            Stage::StepUp(open) => open,
            Stage::Open(open) if !open.needs_select => open,
            _ => return Err(DeviceError::Unexpected),
        };
        let sealed = match self.setup.dialect.envelope {
            EnvelopeForm::Bare => data,
            EnvelopeForm::Object => {
                let message = object::unwrap(data).map_err(|_| DeviceError::Envelope)?;
                let message = SessionData::parse(message).map_err(|_| DeviceError::Envelope)?;
                message.data.ok_or(DeviceError::Envelope)?
            }
        };
        let channel = open.step_up.as_mut().ok_or(DeviceError::Unexpected)?;
        let device_request = channel.open(crypto, sealed).map_err(DeviceError::Channel)?;
        open.expected_bytes = expected_bytes;
        let device_key = open.device_key;
        self.stage = Stage::Deciding(open);
        self.outputs.push_back(Output::StepUp { device_request, device_key });
        self.wait(CALLER_TIMEOUT);
        Ok(())
    }

    /// The caller answers a request of the step-up phase; the reader may then send another.
    pub(super) fn respond(
        &mut self,
        crypto: &dyn Crypto,
        response: &[u8],
    ) -> Result<(), DeviceError> {
        let stage = core::mem::replace(&mut self.stage, Stage::Idle);
        let Stage::Deciding(mut open) = stage else { return Err(DeviceError::Unexpected) };
        let channel = open.step_up.as_mut().ok_or(DeviceError::Unexpected)?;
        let sealed = channel.seal(crypto, response).map_err(DeviceError::Channel)?;
        let data = match self.setup.dialect.envelope {
            EnvelopeForm::Bare => sealed,
            EnvelopeForm::Object => {
                let message = SessionData { data: Some(&sealed), status: None }.encode();
                object::wrap(&message).map_err(|_| DeviceError::AnswerTooLong)?
            }
        };
        let expected_bytes = open.expected_bytes;
        self.stage = Stage::StepUp(open);
        self.wait(super::COMMAND_TIMEOUT);
        self.answer_data(data, expected_bytes)
    }

    /// The reader says how it ended. After AUTH0 without a fast key nothing was proved, so that only a
    /// failure can be told.
    fn control_flow(&mut self, data: &[u8]) -> Result<(), DeviceError> {
        let flow = ControlFlow::parse(data).map_err(DeviceError::Data)?;
        let is_proved = match &self.stage {
            Stage::Keyed(keyed) => keyed.fast.is_some(),
            Stage::Open(_) | Stage::StepUp(_) => true,
            _ => false,
        };
        if flow.s1 != 0 && !is_proved {
            return Err(DeviceError::Unexpected);
        }
        self.answer(StatusWord::OK);
        self.end(if flow.s1 == 0 { Err(DeviceError::ReaderFailed(flow.s2)) } else { Ok(()) });
        Ok(())
    }

    fn signaling(&self, credential: &Credential) -> Signaling {
        let mut signaling = credential.documents;
        let mailbox = self.memory.mailbox.as_bytes();
        if !mailbox.is_empty() {
            signaling =
                signaling.with(Signaling::MAILBOX_READABLE).with(Signaling::MAILBOX_WRITABLE);
        }
        if mailbox.iter().any(|byte| *byte != 0) {
            signaling = signaling.with(Signaling::MAILBOX_DATA);
        }
        signaling
    }
}
