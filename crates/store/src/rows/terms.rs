//! The terms of a product as JSON text, which both databases keep as they are.

use core::time::Duration;

use issuance::product::{
    AttestationLevel, Bearer, Display, Format, HANDLES_DEFAULT, RightsTemplate, Stake, Terms,
    TransactionCode,
};
use issuance::wire::recurrence;
use serde_json::{Map, Value, json};

pub(crate) fn write(terms: &Terms) -> String {
    let rights = &terms.rights;
    let display = |d: &Display| json!({ "language": d.language, "name": d.name, "description": d.description });
    json!({
        "display": terms.display.iter().map(display).collect::<Vec<_>>(),
        "stake": terms.stake.as_str(),
        "doc_type": terms.doc_type,
        "vct": terms.vct,
        "formats": terms.formats.iter().map(|format| format.as_str()).collect::<Vec<_>>(),
        "class": rights.class.as_ref().map(|class| class.as_str()),
        "zones": rights.zones.iter().map(|zone| zone.as_str()).collect::<Vec<_>>(),
        "places": rights.places.iter().map(|place| place.as_str()).collect::<Vec<_>>(),
        "recurrence": rights.recurrence.as_ref().map(recurrence::write),
        "uses_max": rights.uses_max,
        "bearer": rights.bearer.as_str(),
        "pass_period_max_seconds": terms.pass_period_max.as_secs(),
        "document_life_seconds": terms.document_life.as_secs(),
        "batch_max": terms.batch_max,
        "handles_max": terms.handles_max,
        "attestation_min": terms.attestation_min.as_str(),
        "transaction_code": terms.transaction_code.as_str(),
    })
    .to_string()
}

pub(crate) fn read(text: &str) -> Option<Terms> {
    let fields: Map<String, Value> = serde_json::from_str(text).ok()?;
    let fields = Fields(&fields);
    let displays = fields.0.get("display")?.as_array()?;
    Some(Terms {
        display: displays.iter().map(display).collect::<Option<_>>()?,
        stake: Stake::named(fields.text("stake")?)?,
        doc_type: fields.text("doc_type")?.to_owned(),
        vct: fields.text("vct")?.to_owned(),
        formats: fields.list("formats", Format::named)?,
        rights: RightsTemplate {
            class: match fields.0.get("class")? {
                Value::Null => None,
                class => Some(class.as_str()?.parse().ok()?),
            },
            zones: fields.list("zones", |zone| zone.parse().ok())?,
            places: fields.list("places", |place| place.parse().ok())?,
            recurrence: match fields.0.get("recurrence")? {
                Value::Null => None,
                value => Some(recurrence::read(value)?),
            },
            uses_max: match fields.0.get("uses_max")? {
                Value::Null => None,
                uses => Some(uses.as_u64()?.try_into().ok()?),
            },
            bearer: Bearer::named(fields.text("bearer")?)?,
        },
        pass_period_max: Duration::from_secs(fields.number("pass_period_max_seconds")?),
        document_life: Duration::from_secs(fields.number("document_life_seconds")?),
        batch_max: fields.number("batch_max")?.try_into().ok()?,
        // Products of before have none of their own.
        handles_max: match fields.0.get("handles_max") {
            None => HANDLES_DEFAULT,
            Some(handles) => handles.as_u64()?.try_into().ok()?,
        },
        attestation_min: AttestationLevel::named(fields.text("attestation_min")?)?,
        transaction_code: TransactionCode::named(fields.text("transaction_code")?)?,
    })
}

fn display(value: &Value) -> Option<Display> {
    let fields = Fields(value.as_object()?);
    let text = |name| fields.text(name).map(str::to_owned);
    Some(Display {
        language: text("language")?,
        name: text("name")?,
        description: text("description")?,
    })
}

struct Fields<'f>(&'f Map<String, Value>);

impl<'f> Fields<'f> {
    fn text(&self, name: &str) -> Option<&'f str> {
        self.0.get(name)?.as_str()
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64()
    }

    fn list<T>(&self, name: &str, item: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
        self.0.get(name)?.as_array()?.iter().map(|value| item(value.as_str()?)).collect()
    }
}
