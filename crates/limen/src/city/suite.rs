//! The suites of a city's keys as `limen city create --suite` names them.

use keys::purpose::{Purpose, Suite};
use server::suites::{Name, Suites};

use crate::failure::{Failure, OrFail};

/// One `--suite`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// For a whole city.
    Whole(Suite),
    /// For the keys of one purpose.
    Of(Purpose, Suite),
}

impl Choice {
    /// `SUITE` or `PURPOSE=SUITE`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let suite = |name: &str| name.parse::<Suite>().map_err(|error| error.to_string());
        match text.split_once('=') {
            None => suite(text).map(Self::Whole),
            Some((purpose, name)) => {
                let purpose = purpose.parse().map_err(|_| format!("`{purpose}` is no purpose"))?;
                Ok(Self::Of(purpose, suite(name)?))
            }
        }
    }
}

/// The suites of a city: what was said of the whole, then what was said of single purposes.
pub(super) fn chosen(choices: &[Choice]) -> Result<Suites, Failure> {
    let mut whole = choices.iter().filter_map(|choice| match choice {
        Choice::Whole(suite) => Some(*suite),
        Choice::Of(..) => None,
    });
    let mut suites = Suites::whole(whole.next_back().unwrap_or(Suite::Es256));
    for choice in choices {
        let Choice::Of(purpose, suite) = *choice else { continue };
        let setting = match purpose {
            Purpose::CityRoot => &mut suites.root,
            Purpose::IssuingAuthority => &mut suites.issuing_authority,
            Purpose::DocumentSignerMdoc => &mut suites.document_signer_mdoc,
            Purpose::DocumentSignerSdJwt => &mut suites.document_signer_sd_jwt,
            Purpose::ReaderAuthority => &mut suites.reader_authority,
            Purpose::StatusList => &mut suites.status_list,
            Purpose::Bundle => &mut suites.bundle,
            Purpose::Checkpoint | Purpose::Staff | Purpose::Firmware => {
                return Err(Failure::usage(format!("keys for `{purpose}` have one suite")));
            }
        };
        *setting = Name(suite);
    }
    suites.check().or_fail("cannot use these suites")?;
    Ok(suites)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_purposes_outweigh_the_whole() {
        let choices = ["bundle=ES384", "ES256", "status-list=ES256+ML-DSA-44"];
        let choices = choices.map(|text| Choice::parse(text).unwrap());
        let suites = chosen(&choices).unwrap_or_else(|_| panic!("good suites are refused"));
        let of = [Purpose::Bundle, Purpose::StatusList, Purpose::CityRoot];
        let of = of.map(|purpose| suites.of(purpose));
        assert_eq!(of, [Suite::Es384, Suite::Es256MlDsa44, Suite::Es256]);
        for text in ["RS256", "bundles=ES256", "bundle=", "=ES256"] {
            assert!(Choice::parse(text).is_err(), "{text}");
        }
        for text in ["checkpoint=Ed25519", "city-root=ES256+ML-DSA-44", "bundle=Ed25519"] {
            let choice = Choice::parse(text).unwrap();
            assert!(chosen(&[choice]).is_err(), "{text}");
        }
    }
}
