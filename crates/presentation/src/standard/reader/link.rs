//! One command at a time: chains of commands out, chains of responses in.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::ReaderError;
use crate::apdu::chain::{Answer, CollectResponseError, ResponseCollector, bare};
use crate::apdu::{Command, LinkLimits, Response, StatusWord};

/// What is on its way.
#[derive(Debug)]
pub(super) struct Link {
    limits: LinkLimits,
    /// The commands of the chain that are still to be sent.
    rest: VecDeque<Vec<u8>>,
    collector: Option<ResponseCollector>,
}

/// What a response leads to.
pub(super) enum Received {
    /// Send this command.
    Send(Vec<u8>),
    /// The answer is whole.
    Whole(Vec<u8>),
}

impl Link {
    pub(super) const fn new(limits: LinkLimits) -> Self {
        Self { limits, rest: VecDeque::new(), collector: None }
    }

    /// The first APDU of a command.
    pub(super) fn begin(&mut self, command: &Command<'_>) -> Result<Vec<u8>, ReaderError> {
        let commands = bare::commands(command, self.limits).map_err(ReaderError::Command)?;
        self.rest = commands.into();
        self.collector = Some(ResponseCollector::new(self.limits));
        self.rest.pop_front().ok_or(ReaderError::Unexpected)
    }

    /// Whether a command waits for its response.
    pub(super) const fn is_busy(&self) -> bool {
        self.collector.is_some()
    }

    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<Received, ReaderError> {
        let mut collector = self.collector.take().ok_or(ReaderError::Unexpected)?;
        let response = Response::parse(bytes).map_err(ReaderError::Response)?;
        if let Some(next) = self.rest.pop_front() {
            if response.status != StatusWord::OK {
                let error = CollectResponseError::Status(response.status);
                return Err(ReaderError::Collect(error));
            }
            if !response.data.is_empty() {
                return Err(ReaderError::Collect(CollectResponseError::Unasked));
            }
            self.collector = Some(collector);
            return Ok(Received::Send(next));
        }
        match collector.push_bare(&response).map_err(ReaderError::Collect)? {
            Answer::More(next) => {
                self.collector = Some(collector);
                Ok(Received::Send(next))
            }
            Answer::Whole(data) => Ok(Received::Whole(data)),
        }
    }
}
