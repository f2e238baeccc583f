//! First half of the story: the city, its passes, its readers.

use presentation::profile::Profile;

use super::{Ending, Props};
use crate::demo::stage::Stage;
use crate::example;
use crate::failure::Failure;
use crate::field::get;
use crate::world;

pub(super) fn create_city(stage: &mut Stage, _: &mut Props) -> Result<Ending, Failure> {
    let (folder, listen) = (stage.path("city"), stage.listen());
    let operator = format!("{}={}", example::OPERATOR, example::OPERATOR_NAME);
    let mut arguments = vec![
        "city",
        "create",
        "--folder",
        &folder,
        "--name",
        "Harbour City",
        "--listen",
        &listen,
        "--operator",
        &operator,
        "--json",
    ];
    let tokens = stage.token_arguments();
    arguments.extend(tokens.iter().map(String::as_str));
    let created = stage.must(&arguments)?.json();
    let tokens = get(&created, "tokens").as_array().into_iter().flatten();
    let mut mine = tokens.filter(|token| get(token, "operator") == example::OPERATOR);
    let token = mine.next().and_then(|token| get(token, "token").as_str());
    let token = token.ok_or_else(|| Failure::broken("the city gave its operator no token"))?;
    stage.keep_token(token.into());
    Ok(Ending::done(if stage.has_token() {
        "the root key lies on a token of its own, all others on the token of the city"
    } else {
        "the root key lies in a file of its own that no server opens"
    }))
}

pub(super) fn start_server(stage: &mut Stage, _: &mut Props) -> Result<Ending, Failure> {
    stage.start_server()?;
    let client = stage.operator()?;
    example::has_operator(&client)?;
    Ok(Ending::done(format!("it listens on {} and knows its operator", stage.listen())))
}

pub(super) fn furnish(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    let client = stage.operator()?;
    example::add_places(&client)?;
    example::add_products(&client, stage.profile() >= Profile::Standard)?;
    props.person = Some(example::register_person(&client)?);
    for wallet in ["mira", "old-phone"] {
        let (folder, url) = (stage.path(&format!("phones/{wallet}")), stage.url());
        stage.must(&["wallet", "init", "--folder", &folder, "--server", &url])?;
    }
    let ticket = match stage.profile() {
        Profile::Express | Profile::Fast => "for whoever holds the phone",
        Profile::Standard | Profile::Identity => "for its buyer alone",
    };
    let what = format!("a staff badge; a first-class ticket {ticket}, zones A and B, this month");
    Ok(Ending::done(what))
}

pub(super) fn accept_badge(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    let client = stage.operator()?;
    let pass = example::issue_badge(&client, person(props)?)?;
    accept(stage, &pass, "mira")?;
    props.badge = Some(pass);
    Ok(Ending::done("two documents as mdoc and two as SD-JWT VC, each for a key of its own"))
}

pub(super) fn accept_ticket(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    let client = stage.operator()?;
    let pass = example::issue_ticket(&client, person(props)?, world::now())?;
    accept(stage, &pass, "mira")?;
    keep_documents(stage)?;
    Ok(Ending::done(format!("it holds until {}", pass.valid_until)))
}

pub(super) fn accept_third(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    let client = stage.operator()?;
    let pass = example::issue_badge(&client, person(props)?)?;
    accept(stage, &pass, "old-phone")?;
    props.lost = Some(pass);
    Ok(Ending::done("a third pass of the same person"))
}

pub(super) fn revoke_third(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    let client = stage.operator()?;
    let missing = || Failure::broken("the third pass was not issued");
    let pass = example::revoke(&client, props.lost.as_ref().ok_or_else(missing)?)?;
    Ok(Ending::done(format!("the pass is now {}", pass.state)))
}

pub(super) fn enrol_door(stage: &mut Stage, _: &mut Props) -> Result<Ending, Failure> {
    enrol(stage, "door", "Staff door", &[example::STAFF_DOOR])
}

pub(super) fn enrol_gate(stage: &mut Stage, _: &mut Props) -> Result<Ending, Failure> {
    enrol(stage, "gate", "Quay gates", &[example::GATE_B, example::GATE_C])
}

pub(super) fn stop_server(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    super::ledger::keep_older_checkpoint(stage)?;
    stage.stop_server()?;
    let reader = |name: &'static str, door: &str| {
        let folder = stage.path(&format!("readers/{name}"));
        let mut arguments = vec!["reader", "run", "--folder", &folder, "--door", door, "--json"];
        arguments.extend(["--profile", stage.profile().as_str()]);
        if let Some(sabotage) = stage.reader_sabotage() {
            arguments.extend(["--danger-sabotage", sabotage]);
        }
        let (process, first) = stage.start(name, &arguments)?;
        let address = get(&first, "reader").as_str().unwrap_or_default().to_owned();
        Ok::<_, Failure>((process, address))
    };
    props.door = Some(reader("door", example::STAFF_DOOR)?);
    props.gate = Some(reader("gate", example::GATE_B)?);
    let unreachable = stage.operator().and_then(|client| example::has_operator(&client)).is_err();
    if unreachable {
        return Ok(Ending::done("nobody answers at its address; the readers wait for phones"));
    }
    Err(Failure::broken("the server still answers"))
}

fn accept(stage: &Stage, pass: &api::pass::Pass, wallet: &str) -> Result<(), Failure> {
    match try_accept(stage, pass, wallet)? {
        None => Ok(()),
        Some(why) => Err(Failure::broken(format!("`limen wallet accept` failed: {why}"))),
    }
}

/// Offers a pass to a phone; why it was not accepted, if it was not.
pub(super) fn try_accept(
    stage: &Stage,
    pass: &api::pass::Pass,
    wallet: &str,
) -> Result<Option<String>, Failure> {
    let offer = example::offer(&stage.operator()?, pass)?;
    let folder = stage.path(&format!("phones/{wallet}"));
    let mut arguments = vec!["wallet", "accept", "--folder", &folder, "--documents", "2"];
    arguments.extend(["--wait", "0"]);
    if let Some(code) = &offer.transaction_code {
        arguments.extend(["--code", code]);
    }
    arguments.push(&offer.uri);
    let done = stage.run(&arguments)?;
    Ok((done.code != 0).then_some(done.stderr))
}

fn enrol(stage: &Stage, name: &str, label: &str, doors: &[&str]) -> Result<Ending, Failure> {
    let enrolment = example::invite(&stage.operator()?, label, doors)?;
    let (folder, url) = (stage.path(&format!("readers/{name}")), stage.url());
    stage.must(&[
        "reader",
        "enrol",
        "--folder",
        &folder,
        "--server",
        &url,
        "--code",
        &enrolment.code,
    ])?;
    let synced = stage.must(&["reader", "sync", "--folder", &folder, "--json"])?.json();
    Ok(Ending::done(format!(
        "it has its certificate, trust bundle {}, access table and the status of every pass",
        get(&synced, "bundle_epoch")
    )))
}

pub(super) fn person(props: &Props) -> Result<&api::person::Person, Failure> {
    props.person.as_ref().ok_or_else(|| Failure::broken("nobody was registered"))
}

/// What a foreign verifier needs: the documents as issued, and the authorities as PEM.
fn keep_documents(stage: &Stage) -> Result<(), Failure> {
    let (phone, out) = (stage.path("phones/mira"), stage.path("documents"));
    stage.must(&["wallet", "export", "--folder", &phone, "--out", &out])?;
    let trust: api::trust::Trust = stage.operator()?.get_json("/v1/trust")?;
    let folder = stage.path("documents/trust");
    let write = |name: &str, text: &str| {
        let path = format!("{folder}/{name}.pem");
        edge::file::replace(std::path::Path::new(&path), text.as_bytes())
    };
    std::fs::create_dir_all(&folder)
        .and_then(|()| {
            trust
                .issuing_authorities
                .iter()
                .try_for_each(|a| write(&format!("issuer-{}", a.operator), &a.certificate))
        })
        .map_err(|error| Failure::broken(format!("cannot keep the documents: {error}")))
}
