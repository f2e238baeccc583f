//! The example city: one operator with two products, a staff door, a gate and one person.
//!
//! `limen demo` and `limen up` fill a new city with it, over the same API that everyone uses.

use api::operator::Operator;
use api::pass::{NewPass, Offer, Pass, PassDeed};
use api::person::{NewPerson, Person};
use api::place::{Place, ZoneClass};
use api::product::{Display, NewProduct, Product, Rights, Terms};
use api::reader::{Enrolment, NewEnrolment};
use serde_json::Value;
use vocabulary::time::{Civil, Date, Instant};

use crate::client::Client;
use crate::failure::Failure;
use crate::field::get;

/// The operator of the example.
pub(crate) const OPERATOR: &str = "harbour";
/// Its name.
pub(crate) const OPERATOR_NAME: &str = "Harbour City Services";
/// The staff door.
pub(crate) const STAFF_DOOR: &str = "town-hall/staff-door";
/// The gate in zone B.
pub(crate) const GATE_B: &str = "quay/gate-b";
/// The gate in zone C, on the same reader.
pub(crate) const GATE_C: &str = "quay/gate-c";
/// The name of the badge, as the wallet shows it.
pub(crate) const BADGE_NAME: &str = "Staff badge";
/// The name of the ticket, as the wallet shows it.
pub(crate) const TICKET_NAME: &str = "First class, zones A and B";

/// A ticket that is bought on the last day of a month is for the next one.
const TICKET_DAYS_MAX: u32 = 32;

const BADGE: &str = "staff-badge";
const TICKET: &str = "first-class-month";

/// Adds the places.
pub(crate) fn add_places(client: &Client) -> Result<(), Failure> {
    for (code, name, zone, zone_class) in [
        (STAFF_DOOR, "Town Hall, staff entrance", None, ZoneClass::High),
        (GATE_B, "Quay, gate to zone B", Some("B"), ZoneClass::Low),
        (GATE_C, "Quay, gate to zone C", Some("C"), ZoneClass::Low),
    ] {
        let zone = zone.map(String::from);
        let place =
            Place { code: code.into(), name: name.into(), zone, zone_class: Some(zone_class) };
        let _: Place = client.post_json("/v1/places", &place)?;
    }
    Ok(())
}

/// Adds the two products; the ticket is good for its buyer alone, or for whoever holds the phone, which
/// taps that prove no presence need.
pub(crate) fn add_products(client: &Client, holder_only: bool) -> Result<(), Failure> {
    let badge = Rights { places: vec!["town-hall".into()], ..Rights::default() };
    let ticket = Rights {
        class: Some("first".into()),
        zones: vec!["A".into(), "B".into()],
        holder_only,
        ..Rights::default()
    };
    for (code, name, stake, rights, days, has_code) in [
        (BADGE, BADGE_NAME, "high", badge, 365, true),
        (TICKET, TICKET_NAME, "low", ticket, TICKET_DAYS_MAX, false),
    ] {
        let terms = Terms {
            display: vec![Display {
                language: "en".into(),
                name: name.into(),
                description: String::new(),
            }],
            stake: stake.into(),
            formats: ["mso_mdoc", "dc+sd-jwt", "limen-access-document"].map(Into::into).into(),
            rights,
            pass_days_max: days,
            document_hours: 24 * 28,
            batch_max: 2,
            handles_max: 32,
            attestation_min: "urn:limen:key-storage:software".into(),
            transaction_code: has_code,
        };
        let _: Product =
            client.post_json("/v1/products", &NewProduct { code: code.into(), terms })?;
    }
    Ok(())
}

/// Registers the person of the example.
pub(crate) fn register_person(client: &Client) -> Result<Person, Failure> {
    let person = NewPerson {
        name: "Mira Okafor".into(),
        contact: Some("mira@harbour.example".into()),
        reference: Some("0001".into()),
    };
    client.post_json("/v1/people", &person)
}

/// Issues a staff badge.
pub(crate) fn issue_badge(client: &Client, person: &Person) -> Result<Pass, Failure> {
    issue(client, person, BADGE, None)
}

/// Issues a ticket that ends with this month.
pub(crate) fn issue_ticket(
    client: &Client,
    person: &Person,
    now: Instant,
) -> Result<Pass, Failure> {
    issue(client, person, TICKET, Some(end_of_month(now).to_string()))
}

fn issue(
    client: &Client,
    person: &Person,
    product: &str,
    valid_until: Option<String>,
) -> Result<Pass, Failure> {
    let pass = NewPass {
        person: person.id.clone(),
        product: product.into(),
        valid_from: None,
        valid_until,
    };
    client.post_json("/v1/passes", &pass)
}

/// Offers a pass to a wallet.
pub(crate) fn offer(client: &Client, pass: &Pass) -> Result<Offer, Failure> {
    client.post_nothing(&format!("/v1/passes/{}/offers", pass.id))
}

/// Revokes a pass.
pub(crate) fn revoke(client: &Client, pass: &Pass) -> Result<Pass, Failure> {
    let deed = PassDeed { reason: Some("reported lost".into()) };
    client.post_json(&format!("/v1/passes/{}/revoke", pass.id), &deed)
}

/// Invites a reader for `doors`.
pub(crate) fn invite(client: &Client, label: &str, doors: &[&str]) -> Result<Enrolment, Failure> {
    let doors = doors.iter().map(|door| String::from(*door)).collect();
    client.post_json("/v1/readers/enrolments", &NewEnrolment { label: label.into(), doors })
}

/// Whether the operator is there.
pub(crate) fn has_operator(client: &Client) -> Result<bool, Failure> {
    let operator: Operator = client.get_json(&format!("/v1/operators/{OPERATOR}"))?;
    Ok(operator.code == OPERATOR)
}

/// Whether the example was filled in already.
pub(crate) fn has_places(client: &Client) -> Result<bool, Failure> {
    let page: Value = client.get_json("/v1/places?limit=1")?;
    Ok(get(&page, "items").as_array().is_some_and(|items| !items.is_empty()))
}

/// The last second of the month in which `now` lies; of the next, on a month's last day.
fn end_of_month(now: Instant) -> Instant {
    let today = now.civil().date;
    let next = Date { day: today.days_in_month(), ..today };
    let last = if today.day == next.day { following_month(next) } else { next };
    let civil = Civil { date: last, hour: 23, minute: 59, second: 59, microsecond: 0 };
    Instant::from_civil(civil).unwrap_or(now)
}

fn following_month(date: Date) -> Date {
    let (year, month) =
        if date.month == 12 { (date.year + 1, 1) } else { (date.year, date.month + 1) };
    let first = Date { year, month, day: 1 };
    Date { day: first.days_in_month(), ..first }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_of_any_day_is_within_its_product_and_over_32_days_later() {
        let span = std::time::Duration::from_secs(u64::from(TICKET_DAYS_MAX) * 86_400);
        let mut now = Instant::parse_rfc3339("2027-01-01T00:00:00Z").unwrap();
        for _ in 0..2 * 366 * 2 {
            let end = end_of_month(now);
            assert!(now < end && end <= now.saturating_add(span), "{now}");
            assert!(end < now.saturating_add(span), "{now}");
            now = now.saturating_add(std::time::Duration::from_secs(43_199));
        }
    }

    #[test]
    fn a_ticket_ends_with_its_month() {
        for (now, end) in [
            ("2026-11-22T14:00:00Z", "2026-11-30T23:59:59Z"),
            ("2026-11-30T14:00:00Z", "2026-12-31T23:59:59Z"),
            ("2026-12-31T00:00:00Z", "2027-01-31T23:59:59Z"),
            ("2028-02-01T00:00:00Z", "2028-02-29T23:59:59Z"),
        ] {
            let now = Instant::parse_rfc3339(now).unwrap();
            assert_eq!(end_of_month(now).to_string(), end);
        }
    }
}
