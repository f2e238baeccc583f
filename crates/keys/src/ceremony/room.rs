//! The room where a ceremony is held: what people see, and how they answer.
//!
//! Whoever leads a ceremony asks through [`Room`] alone. The terminal is one room; a rehearsal, in which
//! the program answers for the custodians, is another.

use core::fmt;

use vocabulary::time::Instant;
use zeroize::Zeroizing;

use super::approval::PersonName;
use super::plan::Custodian;
use super::shares::Share;

/// What stands on the screen in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screen {
    /// The place of the step, from 1.
    pub number: u32,
    /// How many steps there are.
    pub count: u32,
    /// What it is about, in a few words.
    pub title: &'static str,
    /// What happens in this step, and why.
    pub text: String,
    /// What those present must check before they confirm.
    pub check: Vec<String>,
    /// Who must be there, and confirms.
    pub present: Vec<PersonName>,
}

impl fmt::Display for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Step {} of {}: {}\n", self.number, self.count, self.title)?;
        writeln!(f, "{}\n", self.text)?;
        if !self.check.is_empty() {
            writeln!(f, "Check:")?;
            self.check.iter().try_for_each(|line| writeln!(f, "  [ ] {line}"))?;
            writeln!(f)?;
        }
        let names: Vec<&str> = self.present.iter().map(PersonName::as_str).collect();
        writeln!(f, "Must be there and confirm: {}", names.join(", "))
    }
}

/// Where a ceremony is held.
pub trait Room {
    /// Now.
    fn now(&mut self) -> Instant;

    /// Shows `screen` and waits until each of those present has confirmed.
    ///
    /// # Errors
    /// [`Left`] when somebody stops the ceremony.
    fn confirm(&mut self, screen: &Screen) -> Result<(), Left>;

    /// Shows what came of the last step. It becomes part of the transcript: never a secret.
    fn tell(&mut self, text: &str);

    /// Shows `share` to `custodian` alone until it is written down, and clears it away.
    ///
    /// # Errors
    /// [`Left`].
    fn show_share(&mut self, custodian: &Custodian, share: &Share) -> Result<(), Left>;

    /// Asks for the passphrase of a sealed file; twice where the file is new.
    ///
    /// # Errors
    /// [`Left`].
    fn passphrase(&mut self, whose: &str, is_new: bool) -> Result<Zeroizing<String>, Left>;
}

/// Somebody stopped the ceremony, or nobody is there to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left;

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("somebody stopped the ceremony, or the input ended")
    }
}

impl core::error::Error for Left {}
