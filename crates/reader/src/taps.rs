//! What a tap must prove at doors of each class, as the trust bundle says it.

use credential::cbor::{Decoder, Encoder};
use credential::rejection::Rejection;
use presentation::profile::Profile;

use crate::table::ZoneClass;

/// What a tap must prove at doors of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapPolicy {
    /// The least profile. A holder that offers less is refused, whatever it shows.
    pub least: Profile,
    /// Of a thousand taps that could be express, how many go by a stronger profile instead, drawn at
    /// random: so whoever can forge handles alone is found. At most 1,000.
    pub stronger_per_mille: u16,
}

/// A policy for each class of door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taps {
    /// For [`ZoneClass::Low`].
    pub low: TapPolicy,
    /// For [`ZoneClass::Normal`].
    pub normal: TapPolicy,
    /// For [`ZoneClass::High`], where [`Profile::Express`] and [`Profile::Fast`] are never enough.
    pub high: TapPolicy,
}

impl Default for Taps {
    /// The express tap at doors of low and normal class, with one tap of fifty by a stronger profile.
    fn default() -> Self {
        let express = TapPolicy { least: Profile::Express, stronger_per_mille: 20 };
        let high = TapPolicy { least: Profile::Standard, stronger_per_mille: 0 };
        Self { low: express, normal: express, high }
    }
}

impl Taps {
    /// The policy of a class.
    #[must_use]
    pub fn of(&self, class: ZoneClass) -> TapPolicy {
        match class {
            ZoneClass::Low => self.low,
            ZoneClass::Normal => self.normal,
            ZoneClass::High => {
                TapPolicy { least: self.high.least.max(Profile::Standard), ..self.high }
            }
        }
    }

    pub(crate) fn write(&self, encoder: &mut Encoder) {
        encoder.array(ZoneClass::ALL.len());
        for TapPolicy { least, stronger_per_mille } in [self.low, self.normal, self.high] {
            encoder.array(2).unsigned(least.number()).unsigned(stronger_per_mille.into());
        }
    }

    pub(crate) fn read(decoder: &mut Decoder<'_>) -> Result<Self, Rejection> {
        decoder.array_of(ZoneClass::ALL.len() as u64)?;
        let (low, normal, high) = (policy(decoder)?, policy(decoder)?, policy(decoder)?);
        Ok(Self { low, normal, high })
    }
}

fn policy(decoder: &mut Decoder<'_>) -> Result<TapPolicy, Rejection> {
    let wrong = || Rejection::wire("bundle-form", "trust bundle has a wrong policy for taps");
    decoder.array_of(2)?;
    let least = Profile::from_number(decoder.unsigned()?).ok_or_else(wrong)?;
    let stronger_per_mille = u16::try_from(decoder.unsigned()?).map_err(|_| wrong())?;
    if stronger_per_mille > 1_000 {
        return Err(wrong());
    }
    Ok(TapPolicy { least, stronger_per_mille })
}
