//! Handles of the express tap, from the city to a card: sealed for the card, which opens them itself.

use credential::aws_lc::AwsLc;
use credential::delivery::Scope;
use keys::vault::applications::{Batch, Held as Standing};
use ureq::http::Method;
use wallet::express::epoch_at;
use wallet::express::fetch::{self, Fetch, PATH, Short, WANTED};
use wallet::state::State;

use super::element::CardElement;
use crate::client::Client;
use crate::failure::{Failure, OrFail};
use crate::world;

/// Loads handles for today and tomorrow where few are left of `batches`, as far as the city gives any.
/// Without them a card has the standard tap; so no city that gives none is a failure.
pub(super) fn fetch(
    client: &Client,
    element: &mut CardElement<'_>,
    state: &State,
    scope: &Scope,
    batches: &[Batch],
) -> Result<(), Failure> {
    if scope.zone.is_none() {
        return Ok(());
    }
    let today = epoch_at(world::now());
    for epoch in [today, today.saturating_add(1)] {
        let held = batches.iter().find(|batch| batch.epoch == epoch);
        let fresh = held.map_or(0, |batch| batch.count.saturating_sub(batch.shown));
        if fresh > WANTED / 2 {
            continue;
        }
        let short = Short { pass: 0, scope: scope.clone(), epoch, count: WANTED };
        let now = world::now();
        let begun = Fetch::begin(&AwsLc, element, state, short, world::entropy()?, now);
        let (request, body) = begun.or_fail("cannot ask for handles")?;
        let url = format!("{}{PATH}", client.base());
        let kind = [("content-type", "application/json"), ("accept", "application/json")];
        let answer = client.send(Method::POST, &url, &kind, &body);
        request.give_up(element);
        let Some(answer) = answer.ok().filter(|answer| answer.status == 200) else { continue };
        let sealed = fetch::sealed(&answer.body).or_fail("cannot take the handles of the city")?;
        element.session().load(&sealed.encode()).or_fail("cannot load handles")?;
    }
    Ok(())
}

/// Handles of today and later that the card can still show.
pub(super) fn left(standing: &Standing) -> u32 {
    let today = epoch_at(world::now());
    let batches = standing.batches.iter().filter(|batch| batch.epoch >= today);
    batches.map(|batch| u32::from(batch.count.saturating_sub(batch.shown))).sum()
}
