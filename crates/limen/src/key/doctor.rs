//! `limen key doctor`: whether the keys can be reached, who holds them, and what is due.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keys::custody::{Key, State};
use keys::purpose::Purpose;
use keys::rotation;
use serde_json::{Value, json};
use server::city::clock;
use server::city::rotation::lives;
use server::city::uses;
use vocabulary::time::Instant;

use super::City;
use super::list::validity;
use crate::city::runtime;
use crate::failure::{Failure, OrFail};
use crate::field::get;
use crate::{output, world};

#[derive(Args)]
#[command(after_help = "Example:\n  limen key doctor --config harbour/limen.toml\n\n\
    Exit status: 0 when all is well or there are only warnings, 1 when something is wrong.")]
pub(crate) struct Doctor {
    #[command(flatten)]
    city: City,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Something that was found.
struct Finding {
    severity: Severity,
    text: String,
    next: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Severity {
    Warning,
    Wrong,
}

impl Severity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Wrong => "wrong",
        }
    }
}

impl Doctor {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let config = self.city.config()?;
        let (keeper, status, broken) = runtime()?.block_on(async {
            let keeper = self.city.keeper().await;
            let (status, broken) = match keeper.as_ref().ok().and_then(|it| it.service.clone()) {
                Some(service) => {
                    (service.status().await.ok(), uses::broken(&config, &service).await)
                }
                None => (None, Ok(None)),
            };
            (keeper.map(|keeper| keeper.custody.keys()), status, broken)
        });
        let mut findings = Vec::new();
        let keys = keeper.unwrap_or_else(|failure| {
            findings.push(wrong(failure.to_string(), "start `limen key serve`".into()));
            [].into()
        });
        let status: Value =
            status.and_then(|it| serde_json::from_str(&it).ok()).unwrap_or(Value::Null);
        if config.keys.service.is_none() {
            findings.push(warning(
                "the server opens the keystore itself: who takes over the server has the keys",
                "run a key service: `limen key serve`",
            ));
        }
        if status.get("same_user").and_then(Value::as_bool) == Some(true) {
            findings.push(warning(
                "the key service lets clients run as its own user, who can read the keys",
                "give the server a user of its own, set `uid` of the client, drop `same_user`",
            ));
        }
        findings.extend(token_findings(&status));
        let broken = broken.or_fail("cannot read the log of the city")?;
        findings.extend(broken.map(|broken| {
            wrong(
                broken.to_string(),
                "docs/guide/operate.md says what to do, in `What was signed`".into(),
            )
        }));
        let now = world::now();
        let doubt = runtime()?.block_on(clock::doubt(&config, now));
        let doubt = doubt.or_fail("cannot read the log of the city")?;
        findings
            .extend(doubt.map(|doubt| wrong(doubt.to_string(), "look at another clock".into())));
        let renewal = Renewal { folder: self.city.folder() };
        findings.extend(keys.iter().filter_map(|key| judge(key, &keys, now, &renewal)));
        let mut held: BTreeMap<&str, Vec<&'static str>> = BTreeMap::new();
        for key in keys.iter() {
            let purposes = held.entry(&key.held_by).or_default();
            if !purposes.contains(&key.purpose.as_str()) {
                purposes.push(key.purpose.as_str());
            }
        }
        self.tell(&findings, &held, &status)?;
        let is_wrong = findings.iter().any(|finding| finding.severity == Severity::Wrong);
        Ok(if is_wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn tell(
        &self,
        findings: &[Finding],
        held: &BTreeMap<&str, Vec<&'static str>>,
        status: &Value,
    ) -> Result<(), Failure> {
        if self.json {
            let findings: Vec<Value> = findings
                .iter()
                .map(|it| json!({ "is": it.severity.as_str(), "what": it.text, "next": it.next }))
                .collect();
            return output::json(&json!({
                "service": status, "custodians": held, "findings": findings,
            }));
        }
        let mut text = match status {
            Value::Null => String::from("key service    none that answers\n"),
            told => format!("key service    answers, as user {}\n", get(told, "uid")),
        };
        text.push_str(&token(status));
        for (who, purposes) in held {
            text.push_str(&format!("{who:14} holds keys for {}\n", purposes.join(", ")));
        }
        for finding in findings {
            let mark = match finding.severity {
                Severity::Warning => "warning",
                Severity::Wrong => "WRONG",
            };
            text.push_str(&format!("{mark:8} {}\n         {}\n", finding.text, finding.next));
        }
        if findings.is_empty() {
            text.push_str("all is well\n");
        }
        output::text(&output::printable_lines(&text))?;
        output::text("\n")
    }
}

/// What a token is and cannot do, in lines; nothing where there is none.
fn token(status: &Value) -> String {
    let token = get(status, "token");
    if token.is_null() {
        return String::new();
    }
    let word = |name| get(token, name).as_str().unwrap_or("?");
    let mut text = format!(
        "token          {} ({} {}), through {}\n",
        word("label"),
        word("manufacturer"),
        word("model"),
        word("module"),
    );
    let inside = get(token, "inside");
    let mechanisms = get(inside, "mechanisms").as_object().into_iter().flatten();
    let works = |(name, works): (&String, &Value)| {
        format!("{name}{}", if works.as_bool() == Some(true) { "" } else { " (missing)" })
    };
    let mechanisms: Vec<String> = mechanisms.map(works).collect();
    if !mechanisms.is_empty() {
        text.push_str(&format!("mechanisms     {}\n", mechanisms.join(", ")));
    }
    let lacks = ["purposes", "deeds"].into_iter().flat_map(|list| {
        let items = get(inside, list).as_array().into_iter().flatten();
        items.filter_map(|item| {
            let missing = get(item, "missing").as_str()?;
            let what = ["purpose", "suite", "deed"].map(|name| get(item, name).as_str());
            let what: Vec<&str> = what.into_iter().flatten().collect();
            Some(format!("lacks          {missing}, for {}\n", what.join(" ")))
        })
    });
    text.extend(lacks);
    text
}

/// What is wrong with a token.
fn token_findings(status: &Value) -> Vec<Finding> {
    let token = get(status, "token");
    let mut findings = Vec::new();
    if let Some(trouble) = get(token, "trouble").as_str() {
        let next = "put the token back; a PIN that was refused is not tried again".into();
        findings.push(wrong(format!("the token does not serve: {trouble}"), next));
    }
    for (flag, what) in [
        ("is_locked", "the PIN of the token is locked"),
        ("is_final_try", "one more wrong PIN locks the token"),
        ("is_count_low", "a wrong PIN was shown to the token since the last login"),
    ] {
        if get(get(token, "pin"), flag).as_bool() == Some(true) {
            findings.push(wrong(what.into(), "ask the token's security officer".into()));
        }
    }
    let refused = get(get(token, "inside"), "refused").as_array().into_iter().flatten();
    findings.extend(refused.map(|key| {
        let text = format!("a key on the token is not used: {}", key.as_str().unwrap_or("?"));
        wrong(text, "have it made anew: a key that may do more than its class is refused".into())
    }));
    findings
}

fn wrong(text: String, next: String) -> Finding {
    Finding { severity: Severity::Wrong, text, next }
}

fn warning(text: &str, next: &str) -> Finding {
    Finding { severity: Severity::Warning, text: text.into(), next: next.into() }
}

/// What is to be said of `key` at `now`, unless a younger active key has taken over from it.
fn judge(key: &Key, keys: &[Key], now: Instant, renewal: &Renewal) -> Option<Finding> {
    let younger = |other: &&Key| {
        other.purpose == key.purpose
            && other.operator == key.operator
            && other.state == State::Active
    };
    let is_newest = keys.iter().rev().find(younger).is_some_and(|it| it.handle == key.handle);
    if key.state != State::Active || !is_newest {
        return None;
    }
    let of = key.operator.as_ref().map(|it| format!(" of `{it}`")).unwrap_or_default();
    let what = format!("the key `{}` for {}{of}", key.handle, key.purpose);
    let renews = || renewal.of(key);
    let validity = validity(key);
    if validity.is_none() && rotation::is_certified(key.purpose) {
        return Some(wrong(format!("{what} has no certificate"), renews()));
    }
    let day = |at: Instant| at.to_string().get(..10).unwrap_or_default().to_owned();
    if let Some(ended) = validity.filter(|validity| validity.until < now) {
        let text = format!("{what} has ended on {}: it issues nothing", day(ended.until));
        return Some(wrong(text, renews()));
    }
    let has_successor = keys.iter().any(|other| {
        other.purpose == key.purpose
            && other.operator == key.operator
            && other.state == State::Published
    });
    let (due, _) = rotation::next_rotation(key, &lives());
    if has_successor || now < due {
        return None;
    }
    let ends = validity.map(|it| format!(" and ends on {}", day(it.until))).unwrap_or_default();
    Some(warning(&format!("{what} was due on {}{ends}", day(due)), &renews()))
}

/// How keys of a city are renewed.
struct Renewal {
    folder: PathBuf,
}

impl Renewal {
    /// What to do for a successor of `key`.
    fn of(&self, key: &Key) -> String {
        let level = match key.purpose {
            Purpose::DocumentSignerMdoc | Purpose::DocumentSignerSdJwt | Purpose::Checkpoint => {
                return String::from("a server that runs renews it by itself within the hour");
            }
            Purpose::CityRoot => "root",
            purpose => purpose.as_str(),
        };
        let operator = key.operator.as_ref().map(|it| format!(" --operator {it}"));
        let folder = self.folder.display();
        format!("limen key rotate {level} --folder {folder}{}", operator.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Limen;
    use clap::Parser;
    use credential::crypto::PublicKey;
    use keys::custody::KeyHandle;
    use std::sync::Arc;

    #[test]
    fn what_it_says_to_run_can_be_run() {
        let at = Instant::from_unix_seconds(1_800_000_000);
        let later = at.saturating_add(std::time::Duration::from_secs(20 * 365 * 86_400));
        let renewal = Renewal { folder: "harbour".into() };
        for purpose in Purpose::ALL {
            let key = Key {
                handle: KeyHandle::from_bytes([1; 16]),
                purpose,
                suite: purpose.suite(),
                operator: (purpose == Purpose::IssuingAuthority).then(|| "tram".parse().unwrap()),
                created_at: at,
                public_key: PublicKey::Ed25519([1; 32]),
                certificate: None,
                state: State::Active,
                state_since: at,
                held_by: Arc::from("software"),
            };
            let keys = [key];
            let [key] = &keys;
            let found = judge(key, &keys, later, &renewal).unwrap();
            if let Some(line) = found.next.strip_prefix("limen ") {
                let words = ["limen"].into_iter().chain(line.split(' '));
                Limen::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
            } else {
                assert!(found.next.starts_with("a server that runs"), "{}", found.next);
            }
            let is_certified = rotation::is_certified(purpose);
            assert_eq!(judge(key, &keys, at, &renewal).is_some(), is_certified, "control");
        }
    }
}
