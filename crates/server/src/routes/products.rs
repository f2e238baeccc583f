//! `/v1/products`: the templates of passes, as data.

use std::time::Duration;

use api::product::{NewProduct, Product};
use axum::extract::State;
use axum::response::IntoResponse;
use credential::rights::{DOC_TYPE, VCT};
use issuance::product::{
    AttestationLevel, Bearer, Display, Format, RightsTemplate, Stake, Terms, TransactionCode,
    create_product,
};
use policy::action::Action;
use vocabulary::code::ProductCode;

use crate::body::{Created, Json, Paged, Path, Shown, field, optional, page, path};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::record::Deed;
use crate::server::Server;
use crate::world::now;

/// The highest level of attestation that this server can judge: what a wallet says of itself.
const ATTESTATION_MAX: AttestationLevel = AttestationLevel::Software;
const DAY_SECONDS: u64 = 86_400;
const HOUR_SECONDS: u64 = 3_600;

pub(super) async fn add(
    State(server): State<Server>,
    caller: Caller,
    Json(request): Json<NewProduct>,
) -> Result<impl IntoResponse, Problem> {
    let code: ProductCode = field("code", &request.code)?;
    let terms = terms(&request.terms)?;
    let permit = caller.permit(Action::ProductAdd)?;
    // Without an attester that is trusted nobody can ever collect such a pass.
    if terms.attestation_min > ATTESTATION_MAX {
        let level = terms.attestation_min.as_str();
        let detail = format!("no attester of `{level}` is known here; ask for less");
        return Err(Problem::refused("attester-missing", detail));
    }
    let existing = server.store.for_operator(permit.operator()).product(&code).await?;
    let at = now();
    let object = code.to_string();
    let changes = create_product(&permit, existing.as_ref(), code, terms, at)?;
    let [issuance::change::Change::Product(product)] = changes.as_slice() else {
        return Err(Problem::internal());
    };
    let reply = wire(product);
    let changes = changes.into_iter().map(Into::into).collect();
    server.commit(Deed::of(&permit, object, at), changes, Vec::new()).await?;
    Ok(Created(reply))
}

pub(super) async fn list(
    State(server): State<Server>,
    caller: Caller,
    Paged(wanted): Paged,
) -> Result<impl IntoResponse, Problem> {
    let permit = caller.permit(Action::ProductList)?;
    let listing = server.store.for_operator(permit.operator()).products(&wanted).await?;
    Ok(page(listing, |product| wire(&product)))
}

pub(super) async fn show(
    State(server): State<Server>,
    caller: Caller,
    Path(code): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let code: ProductCode = path(&code)?;
    let permit = caller.permit(Action::ProductShow)?;
    let product = server.store.for_operator(permit.operator()).product(&code).await?;
    Ok(Shown(wire(&product.ok_or_else(Problem::not_found)?)))
}

fn terms(terms: &api::product::Terms) -> Result<Terms, Problem> {
    let unknown = |name: &str, text: &str| Problem::field(name, format!("`{text}` is not known"));
    let formats: Option<Vec<Format>> = terms.formats.iter().map(|f| Format::named(f)).collect();
    let display = |display: &api::product::Display| Display {
        language: display.language.clone(),
        name: display.name.clone(),
        description: display.description.clone(),
    };
    let level = AttestationLevel::named(&terms.attestation_min);
    let seconds = |count: u32, unit: u64| Duration::from_secs(u64::from(count) * unit);
    Ok(Terms {
        display: terms.display.iter().map(display).collect(),
        stake: Stake::named(&terms.stake).ok_or_else(|| unknown("stake", &terms.stake))?,
        doc_type: DOC_TYPE.into(),
        vct: VCT.into(),
        formats: formats.ok_or_else(|| Problem::field("formats", "one of them is not known"))?,
        rights: rights(&terms.rights)?,
        pass_period_max: seconds(terms.pass_days_max, DAY_SECONDS),
        document_life: seconds(terms.document_hours, HOUR_SECONDS),
        batch_max: terms.batch_max,
        handles_max: terms.handles_max,
        attestation_min: level.ok_or_else(|| unknown("attestation_min", &terms.attestation_min))?,
        transaction_code: match terms.transaction_code {
            true => TransactionCode::Required,
            false => TransactionCode::NotRequired,
        },
    })
}

fn rights(rights: &api::product::Rights) -> Result<RightsTemplate, Problem> {
    let zones: Result<Vec<_>, _> = rights.zones.iter().map(|zone| field("zones", zone)).collect();
    let places: Result<Vec<_>, _> =
        rights.places.iter().map(|place| field("places", place)).collect();
    Ok(RightsTemplate {
        class: optional("class", rights.class.as_deref())?,
        zones: zones?,
        places: places?,
        recurrence: optional("recurrence", rights.recurrence.as_deref())?,
        uses_max: rights.uses_max,
        bearer: if rights.holder_only { Bearer::HolderOnly } else { Bearer::Anyone },
    })
}

fn wire(product: &issuance::product::Product) -> Product {
    let terms = &product.terms;
    let display = |display: &Display| api::product::Display {
        language: display.language.clone(),
        name: display.name.clone(),
        description: display.description.clone(),
    };
    // INVARIANT: periods came in as whole days and hours of 32 bits.
    let units = |period: Duration, unit: u64| u32::try_from(period.as_secs() / unit);
    Product {
        code: product.code.to_string(),
        version: product.version,
        changed_at: product.changed_at.to_string(),
        terms: api::product::Terms {
            display: terms.display.iter().map(display).collect(),
            stake: terms.stake.as_str().into(),
            formats: terms.formats.iter().map(|format| format.as_str().into()).collect(),
            rights: wire_rights(&terms.rights),
            pass_days_max: units(terms.pass_period_max, DAY_SECONDS).unwrap_or(u32::MAX),
            document_hours: units(terms.document_life, HOUR_SECONDS).unwrap_or(u32::MAX),
            batch_max: terms.batch_max,
            handles_max: terms.handles_max,
            attestation_min: terms.attestation_min.as_str().into(),
            transaction_code: terms.transaction_code == TransactionCode::Required,
        },
    }
}

fn wire_rights(rights: &RightsTemplate) -> api::product::Rights {
    api::product::Rights {
        class: rights.class.as_ref().map(ToString::to_string),
        zones: rights.zones.iter().map(ToString::to_string).collect(),
        places: rights.places.iter().map(ToString::to_string).collect(),
        recurrence: rights.recurrence.as_ref().map(|recurrence| recurrence.rule()),
        uses_max: rights.uses_max,
        holder_only: rights.bearer == Bearer::HolderOnly,
    }
}
