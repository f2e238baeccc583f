//! Rights as elements of an mdoc (CBOR) and as claims of an SD-JWT VC (JSON): see `specs/city-pass.md`.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::str::FromStr;

use serde_json::{Map, Value};
use vocabulary::time::Instant;

use crate::cbor::{CborError, Decoder, Encoder, TAG_DATE_TIME};
use crate::mdoc::VerifiedDocument;
use crate::rejection::Rejection;

use super::recurrence::{Recurrence, Window};
use super::{
    CLAIMS, CRITICAL_MAX, DOC_TYPE, NAME_SPACE, PLACES_MAX, Rights, RightsError, ZONES_MAX,
};

impl Rights {
    /// The elements of an mdoc: names and CBOR values, `critical` included.
    ///
    /// # Errors
    /// [`RightsError`] when a limit is exceeded or the dates are out of order.
    pub fn to_elements(&self) -> Result<Vec<(&'static str, Vec<u8>)>, RightsError> {
        self.check()?;
        let mut elements = Vec::with_capacity(CLAIMS.len());
        let mut put = |name, write: &dyn Fn(&mut Encoder)| {
            let mut encoder = Encoder::new();
            write(&mut encoder);
            elements.push((name, encoder.into_bytes()));
        };
        put("operator", &|value| {
            value.text(self.operator.as_str());
        });
        put("product", &|value| {
            value.text(self.product.as_str());
        });
        if let Some(class) = &self.class {
            put("class", &|value| {
                value.text(class.as_str());
            });
        }
        if !self.zones.is_empty() {
            put("zones", &|value| write_texts(value, self.zones.iter().map(|zone| zone.as_str())));
        }
        if !self.places.is_empty() {
            put("places", &|value| {
                write_texts(value, self.places.iter().map(|place| place.as_str()));
            });
        }
        if let Some(recurrence) = &self.recurrence {
            put("recurrence", &|value| write_recurrence(value, recurrence));
        }
        put("valid_from", &|value| {
            value.date_time(self.valid_from);
        });
        put("valid_until", &|value| {
            value.date_time(self.valid_until);
        });
        if let Some(uses_max) = self.uses_max {
            put("uses_max", &|value| {
                value.unsigned(u64::from(uses_max));
            });
        }
        put("holder_only", &|value| {
            value.bool(self.holder_only);
        });
        put("critical", &|value| write_texts(value, self.critical().into_iter()));
        Ok(elements)
    }

    /// The rights of a city pass that was verified.
    ///
    /// # Errors
    /// [`Rejection`]: another document type or a withheld claim blames the holder, a malformed
    /// claim the issuer.
    pub fn from_document(document: &VerifiedDocument<'_>) -> Result<Self, Rejection> {
        if document.doc_type() != DOC_TYPE {
            let doc_type = document.doc_type().escape_debug();
            let message = alloc::format!("`{doc_type}` is no city pass");
            return Err(Rejection::holder("doc-type-unexpected", message));
        }
        let own = document.elements().iter().filter(|item| item.name_space == NAME_SPACE);
        Ok(Self::from_elements(own.map(|item| (item.element, item.value)))?)
    }

    /// Rights from names and CBOR values of elements. Names that are not known and not marked
    /// critical are passed over.
    ///
    /// # Errors
    /// [`RightsError`] for the first claim that does not hold.
    pub fn from_elements<'e>(
        elements: impl IntoIterator<Item = (&'e str, &'e [u8])>,
    ) -> Result<Self, RightsError> {
        let mut draft = Draft::default();
        for (name, value) in elements {
            let Some(claim) = CLAIMS.into_iter().find(|claim| *claim == name) else { continue };
            let malformed = RightsError::Malformed { claim };
            let mut decoder = Decoder::new(value).map_err(|_| malformed.clone())?;
            draft.read_element(claim, &mut decoder)?;
            decoder.finish().map_err(|_| malformed)?;
        }
        draft.complete()
    }

    /// The claims of an SD-JWT VC, `critical` included.
    ///
    /// # Errors
    /// As [`Rights::to_elements`].
    pub fn to_claims(&self) -> Result<Map<String, Value>, RightsError> {
        self.check()?;
        let mut claims = Map::new();
        let mut put = |name: &str, value: Value| {
            claims.insert(String::from(name), value);
        };
        put("operator", self.operator.as_str().into());
        put("product", self.product.as_str().into());
        if let Some(class) = &self.class {
            put("class", class.as_str().into());
        }
        if !self.zones.is_empty() {
            put("zones", self.zones.iter().map(|zone| zone.as_str()).collect());
        }
        if !self.places.is_empty() {
            put("places", self.places.iter().map(|place| place.as_str()).collect());
        }
        if let Some(recurrence) = &self.recurrence {
            let window = recurrence.window();
            let mut fields = Map::new();
            fields.insert("rule".into(), recurrence.rule().into());
            fields.insert("from".into(), window.from().into());
            fields.insert("to".into(), window.to().into());
            fields.insert("offset".into(), recurrence.offset_minutes().into());
            put("recurrence", fields.into());
        }
        put("valid_from", self.valid_from.floor_to_second().to_string().into());
        put("valid_until", self.valid_until.floor_to_second().to_string().into());
        if let Some(uses_max) = self.uses_max {
            put("uses_max", uses_max.into());
        }
        put("holder_only", self.holder_only.into());
        put("critical", self.critical().into_iter().collect());
        Ok(claims)
    }

    /// Rights from JSON claims. Names that are not known and not marked critical are passed over.
    ///
    /// # Errors
    /// As [`Rights::from_elements`].
    pub fn from_claims(claims: &Map<String, Value>) -> Result<Self, RightsError> {
        let mut draft = Draft::default();
        for claim in CLAIMS {
            if let Some(value) = claims.get(claim) {
                draft.read_claim(claim, value)?;
            }
        }
        draft.complete()
    }
}

/// The claims while they are read.
#[derive(Default)]
struct Draft {
    operator: Option<String>,
    product: Option<String>,
    class: Option<String>,
    zones: Option<Vec<String>>,
    places: Option<Vec<String>>,
    recurrence: Option<Recurrence>,
    valid_from: Option<Instant>,
    valid_until: Option<Instant>,
    uses_max: Option<u32>,
    holder_only: Option<bool>,
    critical: Option<Vec<String>>,
}

impl Draft {
    fn read_element(
        &mut self,
        claim: &'static str,
        decoder: &mut Decoder<'_>,
    ) -> Result<(), RightsError> {
        let malformed = |_: CborError| RightsError::Malformed { claim };
        let out_of_range = RightsError::Malformed { claim };
        match claim {
            "operator" => self.operator = Some(decoder.text().map_err(malformed)?.into()),
            "product" => self.product = Some(decoder.text().map_err(malformed)?.into()),
            "class" => self.class = Some(decoder.text().map_err(malformed)?.into()),
            "zones" => self.zones = Some(read_texts(claim, ZONES_MAX, decoder)?),
            "places" => self.places = Some(read_texts(claim, PLACES_MAX, decoder)?),
            "critical" => self.critical = Some(read_texts(claim, CRITICAL_MAX, decoder)?),
            "recurrence" => {
                self.recurrence = Some(read_recurrence(decoder).ok_or(out_of_range)?);
            }
            "valid_from" => {
                self.valid_from = Some(read_date_time(decoder).ok_or(out_of_range)?);
            }
            "valid_until" => {
                self.valid_until = Some(read_date_time(decoder).ok_or(out_of_range)?);
            }
            "uses_max" => {
                let value = decoder.unsigned().map_err(malformed)?;
                self.uses_max = Some(u32::try_from(value).map_err(|_| out_of_range)?);
            }
            _ => self.holder_only = Some(decoder.bool().map_err(malformed)?),
        }
        Ok(())
    }

    fn read_claim(&mut self, claim: &'static str, value: &Value) -> Result<(), RightsError> {
        let malformed = || RightsError::Malformed { claim };
        let text = || value.as_str().map(String::from).ok_or_else(malformed);
        let instant = || {
            let text = value.as_str().ok_or_else(malformed)?;
            Instant::parse_rfc3339(text).map_err(|_| malformed())
        };
        match claim {
            "operator" => self.operator = Some(text()?),
            "product" => self.product = Some(text()?),
            "class" => self.class = Some(text()?),
            "zones" => self.zones = Some(json_texts(claim, ZONES_MAX, value)?),
            "places" => self.places = Some(json_texts(claim, PLACES_MAX, value)?),
            "critical" => self.critical = Some(json_texts(claim, CRITICAL_MAX, value)?),
            "recurrence" => {
                self.recurrence = Some(json_recurrence(value).ok_or_else(malformed)?);
            }
            "valid_from" => self.valid_from = Some(instant()?),
            "valid_until" => self.valid_until = Some(instant()?),
            "uses_max" => {
                let uses = value.as_u64().and_then(|uses| u32::try_from(uses).ok());
                self.uses_max = Some(uses.ok_or_else(malformed)?);
            }
            _ => self.holder_only = Some(value.as_bool().ok_or_else(malformed)?),
        }
        Ok(())
    }

    fn has(&self, claim: &str) -> bool {
        match claim {
            "operator" => self.operator.is_some(),
            "product" => self.product.is_some(),
            "class" => self.class.is_some(),
            "zones" => self.zones.is_some(),
            "places" => self.places.is_some(),
            "recurrence" => self.recurrence.is_some(),
            "valid_from" => self.valid_from.is_some(),
            "valid_until" => self.valid_until.is_some(),
            "uses_max" => self.uses_max.is_some(),
            "holder_only" => self.holder_only.is_some(),
            _ => self.critical.is_some(),
        }
    }

    fn complete(self) -> Result<Rights, RightsError> {
        let missing = |claim| RightsError::Missing { claim };
        let critical = self.critical.as_ref().ok_or(missing("critical"))?;
        for claim in critical {
            if !CLAIMS.contains(&claim.as_str()) {
                return Err(RightsError::UnknownCritical { claim: claim.clone() });
            }
            if !self.has(claim) {
                return Err(RightsError::WithheldCritical { claim: claim.clone() });
            }
        }
        let rights = Rights {
            operator: code("operator", &self.operator.ok_or(missing("operator"))?)?,
            product: code("product", &self.product.ok_or(missing("product"))?)?,
            class: self.class.map(|class| code("class", &class)).transpose()?,
            zones: codes("zones", &self.zones.unwrap_or_default())?,
            places: codes("places", &self.places.unwrap_or_default())?,
            recurrence: self.recurrence,
            valid_from: self.valid_from.ok_or(missing("valid_from"))?,
            valid_until: self.valid_until.ok_or(missing("valid_until"))?,
            uses_max: self.uses_max,
            holder_only: self.holder_only.ok_or(missing("holder_only"))?,
        };
        rights.check()?;
        Ok(rights)
    }
}

fn code<T: FromStr>(claim: &'static str, text: &str) -> Result<T, RightsError> {
    text.parse().map_err(|_| RightsError::Malformed { claim })
}

fn codes<T: FromStr>(claim: &'static str, texts: &[String]) -> Result<Vec<T>, RightsError> {
    texts.iter().map(|text| code(claim, text)).collect()
}

fn write_texts<'t>(encoder: &mut Encoder, texts: impl ExactSizeIterator<Item = &'t str>) {
    encoder.array(texts.len());
    texts.for_each(|text| {
        encoder.text(text);
    });
}

fn read_texts(
    claim: &'static str,
    entries_max: usize,
    decoder: &mut Decoder<'_>,
) -> Result<Vec<String>, RightsError> {
    let malformed = |_: CborError| RightsError::Malformed { claim };
    let mut texts = Vec::new();
    let mut entries = decoder.array().map_err(malformed)?;
    while decoder.more(&mut entries).map_err(malformed)? {
        if texts.len() == entries_max {
            return Err(RightsError::TooMany { claim });
        }
        texts.push(decoder.text().map_err(malformed)?.into());
    }
    Ok(texts)
}

fn json_texts(
    claim: &'static str,
    entries_max: usize,
    value: &Value,
) -> Result<Vec<String>, RightsError> {
    let malformed = || RightsError::Malformed { claim };
    let entries = value.as_array().ok_or_else(malformed)?;
    if entries.len() > entries_max {
        return Err(RightsError::TooMany { claim });
    }
    let text = |entry: &Value| entry.as_str().map(String::from).ok_or_else(malformed);
    entries.iter().map(text).collect()
}

fn read_date_time(decoder: &mut Decoder<'_>) -> Option<Instant> {
    decoder.expect_tag(TAG_DATE_TIME, "a date and time (tag 0)").ok()?;
    Instant::parse_rfc3339(decoder.text().ok()?).ok()
}

fn write_recurrence(encoder: &mut Encoder, recurrence: &Recurrence) {
    let window = recurrence.window();
    encoder.map(4).text("rule").text(&recurrence.rule());
    encoder.text("from").unsigned(u64::from(window.from()));
    encoder.text("to").unsigned(u64::from(window.to()));
    encoder.text("offset").integer(i64::from(recurrence.offset_minutes()));
}

fn read_recurrence(decoder: &mut Decoder<'_>) -> Option<Recurrence> {
    let mut fields = Fields::default();
    let mut entries = decoder.map().ok()?;
    while decoder.more(&mut entries).ok()? {
        match decoder.text().ok()? {
            "rule" => fields.rule = Some(decoder.text().ok()?),
            "from" => fields.from = Some(decoder.integer().ok()?),
            "to" => fields.to = Some(decoder.integer().ok()?),
            "offset" => fields.offset = Some(decoder.integer().ok()?),
            // A field that is not understood might narrow the right.
            _ => return None,
        }
    }
    fields.recurrence()
}

fn json_recurrence(value: &Value) -> Option<Recurrence> {
    let mut fields = Fields::default();
    for (name, value) in value.as_object()? {
        match name.as_str() {
            "rule" => fields.rule = Some(value.as_str()?),
            "from" => fields.from = Some(value.as_i64()?),
            "to" => fields.to = Some(value.as_i64()?),
            "offset" => fields.offset = Some(value.as_i64()?),
            _ => return None,
        }
    }
    fields.recurrence()
}

/// The four fields of a recurrence, all of which must be there.
#[derive(Default)]
struct Fields<'f> {
    rule: Option<&'f str>,
    from: Option<i64>,
    to: Option<i64>,
    offset: Option<i64>,
}

impl Fields<'_> {
    fn recurrence(self) -> Option<Recurrence> {
        let window = Window::new(u16::try_from(self.from?).ok()?, u16::try_from(self.to?).ok()?)?;
        let rule: Recurrence = self.rule?.parse().ok()?;
        rule.within(window).with_offset(i16::try_from(self.offset?).ok()?).ok()
    }
}
