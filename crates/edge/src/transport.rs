//! What a reader's host asks of whatever carries APDUs to a phone or a card in its field.

use std::time::Duration;

use crate::link::LinkError;

/// One phone or card in the field, as the reader sees it.
pub trait Transport {
    /// Sends a command APDU and waits for its response, at most for `wait`.
    ///
    /// # Errors
    /// [`LinkError`]; nothing more is exchanged after one.
    fn exchange(&mut self, command: &[u8], wait: Duration) -> Result<Exchanged, LinkError>;
}

/// A response APDU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// Its bytes.
    pub response: Vec<u8>,
    /// How long it took, measured as near to the wire as the transport can.
    pub took: Duration,
}
