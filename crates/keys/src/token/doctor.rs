//! An examination of a token: what it is, what it can hold, what it cannot and for want of what.
//!
//! Takes nothing for granted: mechanisms are tried, not only listed. Keeps nothing on the token and
//! does not take it from the custodian that uses it.

use cryptoki::slot::{Limit, TokenInfo};
use cryptoki::types::Version;

use crate::purpose::{Purpose, Suite};
use crate::token::listing::{Listing, RefusedKey};
use crate::token::mechanism::{SUITES, SuiteOnToken};
use crate::token::module::Module;
use crate::token::pin::Pin;
use crate::token::pool::{Pool, PoolError};
use crate::token::probe::{self, KNOWN, Outcome};
use crate::token::quirks::Quirks;
use crate::token::{Role, Settings, lock};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the module and the token say of themselves.
    pub identity: Identity,
    /// How near the token is to being locked.
    pub pin: PinFlags,
    /// What is known of this kind of token.
    pub quirks: &'static Quirks,
    /// What was found after the login; `None` when there was none.
    pub inside: Option<Inside>,
}

/// What the module and the token say of themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The module: description, manufacturer and version.
    pub module: String,
    /// The version of PKCS#11 that the module speaks.
    pub cryptoki: String,
    /// The label of the token.
    pub label: String,
    /// Who made it.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// Its serial number.
    pub serial: String,
    /// Version of its firmware.
    pub firmware: String,
    /// Version of its hardware.
    pub hardware: String,
    /// Bytes that are free for keys, where it tells.
    pub free_bytes: Option<u64>,
    /// Sessions that it allows at one time, where it limits them.
    pub sessions_max: Option<u64>,
}

/// How near the token is to being locked (CK_TOKEN_INFO flags).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinFlags {
    /// A wrong PIN was shown since the last login.
    pub is_count_low: bool,
    /// One more wrong PIN locks the token.
    pub is_final_try: bool,
    /// The PIN is locked; the security officer must set a new one.
    pub is_locked: bool,
    /// There is no PIN yet.
    pub is_missing: bool,
}

/// What was found after the login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// Every mechanism that something here needs, by its name in the standard, and how it did.
    pub mechanisms: Vec<(&'static str, Outcome)>,
    /// Every purpose with every suite that it allows and that a token can hold.
    pub purposes: Vec<Holding>,
    /// What else keys on a token are used for.
    pub deeds: Vec<Deed>,
    /// Keys that are used, of either role.
    pub keys: usize,
    /// Keys of ours that are not used, and why.
    pub refused: Vec<RefusedKey>,
    /// Marks of the custodians that use the token.
    pub holders: Vec<(Role, String)>,
}

/// Whether the token can hold keys for a purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The purpose.
    pub purpose: Purpose,
    /// The algorithm.
    pub suite: Suite,
    /// The first mechanism that is missing or fails, by its name in the standard.
    pub missing: Option<&'static str>,
}

/// Whether the token can do something other than sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// What: a few words.
    pub name: &'static str,
    /// The first mechanism that is missing or fails, by its name in the standard.
    pub missing: Option<&'static str>,
}

/// What keys on a token are used for besides signing, and the mechanisms that it takes.
const DEEDS: &[(&str, &[&str])] = &[
    (
        "send keys to readers",
        &["CKM_AES_KEY_GEN", "CKM_EC_KEY_PAIR_GEN", "CKM_ECDH1_DERIVE", "CKM_AES_KEY_WRAP"],
    ),
    ("derive card keys (AN10922 as SP 800-108)", &["CKM_SP800_108_COUNTER_KDF"]),
    ("derive card keys (AN10922 by encryption)", &["CKM_AES_ECB", "CKM_AES_CBC_ENCRYPT_DATA"]),
    ("authenticate cards", &["CKM_AES_CMAC", "CKM_AES_CBC"]),
    ("seal messages to cards", &["CKM_AES_GCM"]),
    ("back up the root with custodians", &["CKM_AES_KEY_GEN", "CKM_AES_KEY_WRAP_PAD"]),
];

/// Examines the token; without a PIN only what it tells everybody.
///
/// # Errors
/// [`PoolError`], as when a pool is opened. A refused PIN is such an error; examine without one to see
/// the flags.
pub fn examine(settings: &Settings, pin: Option<Pin>) -> Result<Report, PoolError> {
    let module = Module::load(&settings.module)?;
    let token = module.find_anew(&settings.label)?;
    let hold = module.hold();
    let library = module.library().get_library_info().map_err(PoolError::of)?;
    drop(hold);
    let name =
        format!("{} ({})", library.library_description().trim(), library.manufacturer_id().trim());
    let identity = Identity {
        module: format!("{name} {}", version(library.library_version())),
        cryptoki: version(library.cryptoki_version()),
        label: token.label().to_owned(),
        manufacturer: token.manufacturer_id().to_owned(),
        model: token.model().to_owned(),
        serial: token.serial_number().to_owned(),
        firmware: version(token.firmware_version()),
        hardware: version(token.hardware_version()),
        free_bytes: token.free_private_memory().and_then(|bytes| u64::try_from(bytes).ok()),
        sessions_max: match token.max_rw_session_count() {
            Limit::Max(limit) => Some(limit),
            _ => None,
        },
    };
    let quirks = Quirks::of(token.manufacturer_id(), token.model());
    let inside = pin.map(|pin| look_inside(&Pool::open(settings, pin)?, quirks)).transpose()?;
    Ok(Report { identity, pin: flags(&token), quirks, inside })
}

fn version(version: Version) -> String {
    format!("{}.{}", version.major(), version.minor())
}

fn flags(token: &TokenInfo) -> PinFlags {
    PinFlags {
        is_count_low: token.user_pin_count_low(),
        is_final_try: token.user_pin_final_try(),
        is_locked: token.user_pin_locked(),
        is_missing: !token.user_pin_initialized(),
    }
}

fn look_inside(pool: &Pool, quirks: &Quirks) -> Result<Inside, PoolError> {
    let mechanisms = mechanisms(pool, quirks)?;
    let fails = |name: &&'static str| {
        !mechanisms.iter().any(|(known, outcome)| known == name && outcome.is_usable())
    };
    let purposes = Purpose::ALL
        .into_iter()
        .flat_map(|purpose| SUITES.iter().map(move |on_token| (purpose, on_token)))
        .filter(|(purpose, on_token)| purpose.allows(on_token.suite))
        .map(|(purpose, on_token)| Holding {
            purpose,
            suite: on_token.suite,
            missing: names(on_token).find(fails),
        })
        .collect();
    let deeds = DEEDS
        .iter()
        .map(|(name, needs)| Deed { name, missing: needs.iter().copied().find(fails) })
        .collect();
    let mut inside =
        Inside { purposes, deeds, mechanisms, keys: 0, refused: Vec::new(), holders: Vec::new() };
    let held_by = format!("token:{}", pool.label()).into();
    for role in [Role::City, Role::Root] {
        let listing = pool.with_connection(|session, connection| {
            Listing::read(session, connection, role, &held_by)
        })?;
        inside.keys += listing.keys.len();
        // Every key of the other role is told by the listing of that role.
        let faults = listing.refused.iter().filter(|key| !key.fault.is_of_other_role());
        for refused in faults {
            if !inside.refused.contains(refused) {
                inside.refused.push(refused.clone());
            }
        }
        let holders = lock::holders(pool, role)?;
        inside.holders.extend(holders.into_iter().map(|holder| (role, holder)));
    }
    Ok(inside)
}

fn mechanisms(pool: &Pool, quirks: &Quirks) -> Result<Vec<(&'static str, Outcome)>, PoolError> {
    let listed = pool.with_slot(|library, slot| library.get_mechanism_list(slot))?;
    KNOWN
        .iter()
        .map(|known| {
            let outcome = if !listed.contains(&known.mechanism) {
                Outcome::Missing
            } else if quirks.does_not_work.contains(&known.name) {
                Outcome::Fails("it is known not to work on this kind of token".to_owned())
            } else {
                pool.once(|session| probe::attempt(known, session))?
            };
            Ok((known.name, outcome))
        })
        .collect()
}

/// The names of what `on_token` needs.
fn names(on_token: &SuiteOnToken) -> impl Iterator<Item = &'static str> {
    on_token.needs().into_iter().filter_map(|needed| {
        KNOWN.iter().find(|known| known.mechanism == needed).map(|known| known.name)
    })
}
