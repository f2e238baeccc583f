//! A session in which a card collects its pass and its handles: it draws the keys, signs with them, and
//! opens what was sealed for it, so that the desk sees neither a key nor a handle.

use zeroize::Zeroizing;

use super::{Desk, DeskError, Identifier, Place, UPDATE_KEY, card};
use crate::vault::messaging::Channel;

/// The number of the key by which the card that has a pass asks for handles.
pub const HELD_KEY: u8 = 0;
/// Bytes of one piece: with header, padding and MAC it fits a short APDU.
const PIECE_BYTES: usize = 192;
const INBOX_FILE: u8 = 2;
const PASS_FILE: u8 = 4;
const MESSAGE_FILE: u8 = 5;
const AGREES: u8 = 0;
const SIGNS: u8 = 1;
/// Bytes of the longest pass, and of what else is written.
const WRITTEN_BYTES_MAX: usize = 8 * 1024;

/// A session with the update key of an application. After an error it is over.
pub struct Session<'d> {
    desk: Desk<'d>,
    channel: Channel,
}

impl Desk<'_> {
    /// Begins a session with the application `place`.
    ///
    /// # Errors
    /// [`DeskError`].
    pub async fn session(
        &mut self,
        place: &Place,
        identifier: &Identifier,
    ) -> Result<Session<'_>, DeskError> {
        let channel = self.open(place, identifier, UPDATE_KEY).await?;
        let desk = Desk { vault: self.vault, link: &mut *self.link };
        Ok(Session { desk, channel })
    }

    /// The pass that the application `place` holds, if any, as it was kept.
    ///
    /// # Errors
    /// [`DeskError`].
    pub async fn pass(
        &mut self,
        place: &Place,
        identifier: &Identifier,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, DeskError> {
        let mut session = self.session(place, identifier).await?;
        match session.read_pass() {
            Err(DeskError::Status { status: [0x91, 0xF0], .. }) => Ok(None),
            read => read.map(Some),
        }
    }
}

impl Session<'_> {
    /// Has the card draw a key that signs: its number and its point.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn draw_signing(&mut self) -> Result<(u8, [u8; 65]), DeskError> {
        self.draw(SIGNS)
    }

    /// Has the card draw the key for which a batch of handles is sealed: its point.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn draw_agreement(&mut self) -> Result<[u8; 65], DeskError> {
        self.draw(AGREES).map(|(_, point)| point)
    }

    /// The signature of the key `number` over `message`: one that was drawn in this session, or
    /// [`HELD_KEY`].
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn sign(&mut self, number: u8, message: &[u8]) -> Result<[u8; 64], DeskError> {
        let step = "signature";
        self.put(MESSAGE_FILE, message)?;
        let told = self.told(step, 0xD3, number)?;
        told.as_slice().try_into().map_err(|_| DeskError::Answer { step })
    }

    /// Has the card keep a pass, with the keys that it drew for it (`specs/card.md`, "Pass").
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn keep_pass(&mut self, pass: &[u8]) -> Result<(), DeskError> {
        self.put(PASS_FILE, pass)?;
        self.commit("pass")
    }

    /// Has the card open a batch of handles, which was sealed for the key that it drew last.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn load(&mut self, sealed: &[u8]) -> Result<(), DeskError> {
        self.put(INBOX_FILE, sealed)?;
        self.commit("handles")
    }

    fn read_pass(&mut self) -> Result<Zeroizing<Vec<u8>>, DeskError> {
        let mut pass = Zeroizing::new(Vec::new());
        while pass.len() < WRITTEN_BYTES_MAX {
            let [a, b, c, _] = u32::try_from(pass.len()).unwrap_or(u32::MAX).to_le_bytes();
            let header = [PASS_FILE, a, b, c, 0, 0, 0];
            let piece = self.desk.ask(&mut self.channel, "reading", 0xAD, &header)?;
            if piece.is_empty() {
                return Ok(pass);
            }
            pass.extend_from_slice(&piece);
        }
        Err(DeskError::Answer { step: "reading" })
    }

    fn draw(&mut self, of: u8) -> Result<(u8, [u8; 65]), DeskError> {
        let step = "drawing of a key";
        let told = self.told(step, 0xD2, of)?;
        let (number, point) = told.split_first().ok_or(DeskError::Answer { step })?;
        Ok((*number, point.try_into().map_err(|_| DeskError::Answer { step })?))
    }

    /// A command with one byte, and its answer, which is in clear.
    fn told(&mut self, step: &'static str, command: u8, byte: u8) -> Result<Vec<u8>, DeskError> {
        let sent = self.channel.authenticated(command, &[byte]).map_err(card(step))?;
        let answer = self.desk.native(step, command, &sent, [0x91, 0x00])?;
        Ok(self.channel.take(&answer).map_err(card(step))?.to_vec())
    }

    fn put(&mut self, file: u8, content: &[u8]) -> Result<(), DeskError> {
        for (number, piece) in content.chunks(PIECE_BYTES).enumerate() {
            let offset = u32::try_from(number * PIECE_BYTES).unwrap_or(u32::MAX);
            self.desk.write(&mut self.channel, file, offset, piece)?;
        }
        Ok(())
    }

    fn commit(&mut self, step: &'static str) -> Result<(), DeskError> {
        let sent = self.channel.authenticated(0xC7, &[]).map_err(card(step))?;
        self.desk.tell(&mut self.channel, step, 0xC7, &sent)
    }
}
