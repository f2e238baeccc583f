//! The reader's way through the phone's Type 4 tag to its Handover Select message: select the
//! application, read the capability container, select and read the NDEF file.

use alloc::vec::Vec;

use super::VerifierError;
use crate::apdu::{EncodeCommandError, Response, StatusWord};
use crate::ndef::MESSAGE_BYTES_MAX;
use crate::ndef::tag::{self, CONTAINER_BYTES, CONTAINER_FILE, Container};

/// Bytes that one READ BINARY asks for at most: every phone and reader carries a short answer.
const READ_BYTES_MAX: u16 = 255;
/// Bytes in the length field of an NDEF file.
const LENGTH_BYTES: u16 = 2;

/// Where the reading stands; each names the command that is unanswered.
#[derive(Debug)]
pub(super) enum Engaging {
    SelectApplication,
    SelectContainer,
    ReadContainer,
    SelectFile(Container),
    ReadLength(Container),
    ReadMessage { container: Container, length: u16, asked: u16, message: Vec<u8> },
}

/// The message that was read.
pub(super) struct Engaged {
    pub(super) select: Vec<u8>,
}

/// What follows an answer.
pub(super) enum Step {
    Send(Engaging, Result<Vec<u8>, EncodeCommandError>),
    Done(Engaged),
}

/// Tags of the templates that an answer to SELECT by name may bring (ISO/IEC 7816-4, table 10).
const TEMPLATES: [u8; 3] = [0x62, 0x64, 0x6F];

/// Holds an answer to SELECT by name to 9000; file control information may come with it.
pub(super) fn selected(response: &Response<'_>) -> Result<(), VerifierError> {
    succeeded(response)?;
    match response.data {
        [tag, ..] if !TEMPLATES.contains(tag) => Err(VerifierError::Unexpected),
        _ => Ok(()),
    }
}

fn succeeded(response: &Response<'_>) -> Result<(), VerifierError> {
    if response.status == StatusWord::OK {
        Ok(())
    } else {
        Err(VerifierError::Status(response.status))
    }
}

impl Engaging {
    pub(super) const fn new() -> Self {
        Self::SelectApplication
    }

    pub(super) fn answer(self, response: &Response<'_>) -> Result<Step, VerifierError> {
        succeeded(response)?;
        let step = match self {
            Self::SelectApplication => {
                selected(response)?;
                let command = tag::select_file(&CONTAINER_FILE.to_be_bytes()).encode();
                Step::Send(Self::SelectContainer, command)
            }
            Self::SelectContainer => {
                empty(response)?;
                Step::Send(
                    Self::ReadContainer,
                    tag::read_binary(0, u32::from(CONTAINER_BYTES)).encode(),
                )
            }
            Self::ReadContainer => {
                let container =
                    Container::parse(response.data).map_err(VerifierError::Container)?;
                let command = tag::select_file(&container.file.to_be_bytes()).encode();
                Step::Send(Self::SelectFile(container), command)
            }
            Self::SelectFile(container) => {
                empty(response)?;
                let command = tag::read_binary(0, u32::from(LENGTH_BYTES)).encode();
                Step::Send(Self::ReadLength(container), command)
            }
            Self::ReadLength(container) => {
                let length = message_length(container, response.data)?;
                read_on(container, length, Vec::with_capacity(usize::from(length)))
            }
            Self::ReadMessage { container, length, asked, mut message } => {
                if response.data.len() != usize::from(asked) {
                    return Err(VerifierError::ReadLength);
                }
                message.extend_from_slice(response.data);
                read_on(container, length, message)
            }
        };
        Ok(step)
    }
}

/// The next part of the file, or the end.
fn read_on(container: Container, length: u16, message: Vec<u8>) -> Step {
    let read = u16::try_from(message.len()).unwrap_or(u16::MAX);
    let left = length.saturating_sub(read);
    if left == 0 {
        return Step::Done(Engaged { select: message });
    }
    let asked = left.min(container.read_bytes).min(READ_BYTES_MAX);
    let command = tag::read_binary(LENGTH_BYTES.saturating_add(read), u32::from(asked)).encode();
    Step::Send(Engaging::ReadMessage { container, length, asked, message }, command)
}

fn message_length(container: Container, data: &[u8]) -> Result<u16, VerifierError> {
    let bytes = <[u8; 2]>::try_from(data).map_err(|_| VerifierError::ReadLength)?;
    let length = u16::from_be_bytes(bytes);
    let fits = length <= container.file_bytes.saturating_sub(LENGTH_BYTES);
    if length == 0 || !fits || usize::from(length) > MESSAGE_BYTES_MAX {
        return Err(VerifierError::MessageLength);
    }
    Ok(length)
}

fn empty(response: &Response<'_>) -> Result<(), VerifierError> {
    if response.data.is_empty() { Ok(()) } else { Err(VerifierError::Unexpected) }
}
