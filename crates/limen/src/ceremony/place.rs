//! Where a root lies: a token or a sealed file, opened.

use std::path::PathBuf;

use clap::Args;
use keys::ceremony::plan::{Place, SealedFile, TokenPlace};
use keys::ceremony::room::Room;
use keys::ceremony::seat::RootSeat;
use keys::ceremony::staff::open_file;
use keys::seal::Kind;
use keys::software::Keystore;
use keys::token::pin::PinSource;
use keys::token::{Role, Settings, Token};

use super::terminal::Terminal;
use crate::failure::{Failure, OrFail};

/// A custodian of a root that is at hand.
pub(crate) enum Seat {
    Token(Token),
    File(Keystore),
}

impl Seat {
    /// Opens `place`. A sealed file is made where it is missing, if it may be.
    pub(crate) fn open(
        place: &Place,
        may_make: bool,
        room: &mut dyn Room,
    ) -> Result<Self, Failure> {
        match place {
            Place::Token(place) => {
                let attempt = "cannot open the root's token";
                let pin: PinSource = place.pin.parse().or_fail(attempt)?;
                let pin = pin.read(&place.label).or_fail(attempt)?;
                let officer = place.officer_pin.as_deref().map(str::parse::<PinSource>);
                let officer = officer.transpose().or_fail(attempt)?;
                let officer = officer.map(|source| source.read_officer(&place.label)).transpose();
                let settings =
                    Settings { module: place.module.clone(), label: place.label.clone() };
                let token = match officer.or_fail(attempt)? {
                    Some(officer) => Token::open_with_officer(&settings, pin, officer),
                    None => Token::open(&settings, pin, Role::Root),
                };
                Ok(Self::Token(token.or_fail(attempt)?))
            }
            Place::File(file) if !may_make && !file.path.exists() => {
                Err(Failure::usage(format!("there is no root in `{}`", file.path.display())))
            }
            Place::File(file) => {
                let opened = open_file(file, Kind::Root, "the root", room);
                Ok(Self::File(opened.or_fail("cannot open the root's file")?))
            }
        }
    }

    pub(crate) fn root(&self) -> &dyn RootSeat {
        match self {
            Self::Token(token) => token,
            Self::File(file) => file,
        }
    }
}

/// Opens the sealed file of a root, which must be there.
pub(crate) fn open_root_file(file: &SealedFile) -> Result<Keystore, Failure> {
    match Seat::open(&Place::File(file.clone()), false, &mut Terminal::new())? {
        Seat::File(file) => Ok(file),
        Seat::Token(_) => Err(Failure::usage("the root lies on a token")),
    }
}

/// The sealed file of a root, as options.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RootFilePlace {
    /// The sealed file of the root.
    #[arg(long, value_name = "FILE", conflicts_with = "root_token")]
    root_file: Option<PathBuf>,
    /// The key file that opens it; a passphrase is asked for where this is absent.
    #[arg(long, value_name = "FILE", requires = "root_file")]
    root_key_file: Option<PathBuf>,
}

impl RootFilePlace {
    /// The file, if one is named.
    pub(crate) fn place(&self) -> Option<SealedFile> {
        let path = self.root_file.clone()?;
        Some(SealedFile { path, key_file: self.root_key_file.clone() })
    }
}

/// Where a root is to lie, as options.
#[derive(Args, Clone, Debug)]
pub(crate) struct RootPlace {
    #[command(flatten)]
    file: RootFilePlace,
    /// The label of the root's token.
    #[arg(long, value_name = "LABEL", requires = "module")]
    root_token: Option<String>,
    /// The PKCS#11 module of that token, a shared library.
    #[arg(long, value_name = "FILE", requires = "root_token")]
    module: Option<PathBuf>,
    /// Where its PIN is: file:PATH, env:NAME or prompt.
    #[arg(long, value_name = "SOURCE", default_value = "prompt")]
    root_pin: PinSource,
}

impl RootPlace {
    /// The place, if one is named.
    pub(crate) fn place(&self) -> Option<Place> {
        match (self.file.place(), &self.root_token, &self.module) {
            (Some(file), _, _) => Some(Place::File(file)),
            (None, Some(label), Some(module)) => Some(Place::Token(TokenPlace {
                module: module.clone(),
                label: label.clone(),
                pin: self.root_pin.to_string(),
                // What comes back is not wrapped again.
                officer_pin: None,
            })),
            _ => None,
        }
    }
}
