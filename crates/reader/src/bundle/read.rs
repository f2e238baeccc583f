//! Reading the payload of a bundle: exactly the fields of this version, each within its limits.

use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use credential::cbor::{Decoder, Kind};
use credential::delivery::DELIVERY_BYTES_MAX;
use credential::rejection::Rejection;
use vocabulary::id::ReaderId;
use vocabulary::text::Line;
use vocabulary::time::Instant;

use super::{
    Bundle, CITY_BYTES_MAX, DELIVERIES_MAX, Freshness, ISSUERS_MAX, Issuer, STATUS_SIGNERS_MAX,
    UNLOCK_MS_MAX, VERSION, form,
};
use crate::roots::{ROOTS_MAX, Root};
use crate::snapshot::{ClassPolicy, Stale};
use crate::table::{AccessTable, ZoneClass};
use crate::taps::Taps;

impl Bundle {
    /// Reads a payload: exactly the fields of this version, in any order.
    pub(super) fn read(payload: &[u8]) -> Result<Self, Rejection> {
        let mut decoder = Decoder::new(payload)?;
        let mut fields = Fields::default();
        let mut entries = decoder.map()?;
        while decoder.more(&mut entries)? {
            match decoder.text()? {
                "version" => fields.version = Some(decoder.unsigned()?),
                "city" => fields.city = decoder.text()?.parse().ok(),
                "reader" => fields.reader = Some(ReaderId::from_bytes(decoder.byte_array()?)),
                "epoch" => fields.epoch = Some(decoder.unsigned()?),
                "issued_at" => fields.issued_at = Some(seconds(&mut decoder)?),
                "expires_at" => fields.expires_at = Some(seconds(&mut decoder)?),
                "roots" => fields.roots = Some(read_roots(&mut decoder)?),
                "issuers" => fields.issuers = Some(read_issuers(&mut decoder)?),
                "status_signers" => fields.status_signers = Some(read_signers(&mut decoder)?),
                "freshness" => fields.freshness = Some(read_freshness(&mut decoder)?),
                "unlock_ms" => fields.unlock_ms = Some(read_unlock(&mut decoder)?),
                "taps" => fields.taps = Some(Taps::read(&mut decoder)?),
                "table" => fields.table = Some(read_table(&mut decoder)?),
                "deliveries" => fields.deliveries = Some(read_deliveries(&mut decoder)?),
                field => return Err(form(&format!("has an unknown `{}`", field.escape_debug()))),
            }
        }
        decoder.finish()?;
        fields.whole().ok_or_else(|| form("lacks a field, or has one out of its range"))
    }
}

#[derive(Default)]
struct Fields {
    version: Option<u64>,
    city: Option<Line<CITY_BYTES_MAX>>,
    reader: Option<ReaderId>,
    epoch: Option<u64>,
    issued_at: Option<Instant>,
    expires_at: Option<Instant>,
    roots: Option<Vec<Root>>,
    issuers: Option<Vec<Issuer>>,
    status_signers: Option<Vec<Vec<u8>>>,
    freshness: Option<Freshness>,
    unlock_ms: Option<u32>,
    taps: Option<Taps>,
    table: Option<AccessTable>,
    deliveries: Option<Vec<Vec<u8>>>,
}

impl Fields {
    fn whole(self) -> Option<Bundle> {
        self.version.filter(|version| *version == VERSION)?;
        Some(Bundle {
            city: self.city?,
            reader: self.reader?,
            epoch: self.epoch?,
            issued_at: self.issued_at?,
            expires_at: self.expires_at?,
            roots: self.roots?,
            issuers: self.issuers?,
            status_signers: self.status_signers?,
            freshness: self.freshness?,
            unlock_ms: self.unlock_ms?,
            taps: self.taps?,
            table: self.table?,
            deliveries: self.deliveries?,
        })
    }
}

fn read_roots(decoder: &mut Decoder<'_>) -> Result<Vec<Root>, Rejection> {
    let mut roots = Vec::new();
    let mut entries = decoder.array()?;
    while decoder.more(&mut entries)? {
        if roots.len() == ROOTS_MAX {
            return Err(form(&format!("names more than {ROOTS_MAX} roots")));
        }
        decoder.array_of(2)?;
        let certificate = decoder.bytes()?.to_vec();
        let link = match decoder.kind() {
            Kind::Null => decoder.null().map(|()| None)?,
            _ => Some(decoder.bytes()?.to_vec()),
        };
        roots.push(Root { certificate, link });
    }
    Ok(roots)
}

fn read_issuers(decoder: &mut Decoder<'_>) -> Result<Vec<Issuer>, Rejection> {
    let mut issuers = Vec::new();
    let mut entries = decoder.array()?;
    while decoder.more(&mut entries)? {
        if issuers.len() == ISSUERS_MAX {
            return Err(form(&format!("names more than {ISSUERS_MAX} issuers")));
        }
        decoder.array_of(2)?;
        let operator = decoder.text()?.parse();
        let operator = operator.map_err(|_| form("names an issuer that is no operator"))?;
        issuers.push(Issuer { operator, certificate: decoder.bytes()?.to_vec() });
    }
    Ok(issuers)
}

fn read_signers(decoder: &mut Decoder<'_>) -> Result<Vec<Vec<u8>>, Rejection> {
    let mut signers = Vec::new();
    let mut entries = decoder.array()?;
    while decoder.more(&mut entries)? {
        if signers.len() == STATUS_SIGNERS_MAX {
            return Err(form(&format!("names more than {STATUS_SIGNERS_MAX} status signers")));
        }
        signers.push(decoder.bytes()?.to_vec());
    }
    Ok(signers)
}

fn read_deliveries(decoder: &mut Decoder<'_>) -> Result<Vec<Vec<u8>>, Rejection> {
    let mut deliveries = Vec::new();
    let mut entries = decoder.array()?;
    while decoder.more(&mut entries)? {
        if deliveries.len() == DELIVERIES_MAX {
            return Err(form(&format!("holds more than {DELIVERIES_MAX} key deliveries")));
        }
        let delivery = decoder.bytes()?;
        if delivery.len() > DELIVERY_BYTES_MAX {
            return Err(form(&format!("holds a key delivery past {DELIVERY_BYTES_MAX} bytes")));
        }
        deliveries.push(delivery.to_vec());
    }
    Ok(deliveries)
}

fn read_freshness(decoder: &mut Decoder<'_>) -> Result<Freshness, Rejection> {
    decoder.array_of(ZoneClass::ALL.len() as u64)?;
    let (low, normal, high) = (policy(decoder)?, policy(decoder)?, policy(decoder)?);
    Ok(Freshness { low, normal, high })
}

fn policy(decoder: &mut Decoder<'_>) -> Result<ClassPolicy, Rejection> {
    decoder.array_of(2)?;
    let status_age_max = Duration::from_secs(decoder.unsigned()?);
    let stale = if decoder.bool()? { Stale::Accept } else { Stale::Refuse };
    Ok(ClassPolicy { status_age_max, stale })
}

fn read_unlock(decoder: &mut Decoder<'_>) -> Result<u32, Rejection> {
    let unlock_ms = u32::try_from(decoder.unsigned()?).unwrap_or(u32::MAX);
    if unlock_ms > UNLOCK_MS_MAX {
        return Err(form(&format!("unlocks a door for more than {UNLOCK_MS_MAX} ms")));
    }
    Ok(unlock_ms)
}

fn read_table(decoder: &mut Decoder<'_>) -> Result<AccessTable, Rejection> {
    AccessTable::read(decoder).map_err(|error| form(&format!("has no sound table: {error}")))
}

fn seconds(decoder: &mut Decoder<'_>) -> Result<Instant, Rejection> {
    Ok(Instant::from_unix_seconds(decoder.integer()?))
}
