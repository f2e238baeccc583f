//! Rotation by hand: the steps that need the root, and those that somebody wants before their time.
//!
//! What follows by itself (first use after the lead, retirement, destruction) is the chore of
//! [`crate::work::rotation`]. Every deed is recorded in the audit log.

mod root;

use std::collections::BTreeSet;

use credential::x509::build;
use keys::custody::{Custody, Key, NewKey, State};
use keys::purpose::{Purpose, Suite};
use keys::rotation::{Step, begin};
use vocabulary::code::OperatorCode;
use vocabulary::time::Instant;

use super::ceremony::{
    AUTHORITY_LIFE, Authority, CeremonyError, Custodians, Registry, SIGNER_LIFE, Subordinate,
    host_deed, present_root,
};
use super::facts::Facts;
use crate::config::Config;
use crate::lock::FolderLock;
use crate::start::StartError;
use crate::suites::Suites;
use crate::work::rotation::{ACTIVATE, DESTROY, MAKE, RETIRE, deed_of};

pub use crate::work::rotation::lives;

/// What is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The root of the city.
    Root,
    /// The issuing authorities of operators. Their document signers follow by themselves.
    IssuingAuthority,
    /// The document signers, of both formats.
    DocumentSigner,
    /// The reader authority.
    ReaderAuthority,
    /// The signer of status lists.
    StatusList,
    /// The signer of bundles.
    Bundle,
    /// The key of the audit log.
    Checkpoint,
    /// Staff keys.
    Staff,
    /// The key for firmware.
    Firmware,
}

impl Level {
    /// Every level, the root last: it takes the signer of bundles along.
    pub const ALL: [Self; 9] = [
        Self::IssuingAuthority,
        Self::DocumentSigner,
        Self::ReaderAuthority,
        Self::StatusList,
        Self::Bundle,
        Self::Checkpoint,
        Self::Staff,
        Self::Firmware,
        Self::Root,
    ];

    /// The purposes of its keys.
    #[must_use]
    pub const fn purposes(self) -> &'static [Purpose] {
        match self {
            Self::Root => &[Purpose::CityRoot],
            Self::IssuingAuthority => &[Purpose::IssuingAuthority],
            Self::DocumentSigner => &[Purpose::DocumentSignerMdoc, Purpose::DocumentSignerSdJwt],
            Self::ReaderAuthority => &[Purpose::ReaderAuthority],
            Self::StatusList => &[Purpose::StatusList],
            Self::Bundle => &[Purpose::Bundle],
            Self::Checkpoint => &[Purpose::Checkpoint],
            Self::Staff => &[Purpose::Staff],
            Self::Firmware => &[Purpose::Firmware],
        }
    }

    /// Whether the root certifies its keys.
    #[must_use]
    pub const fn needs_root(self) -> bool {
        matches!(
            self,
            Self::Root
                | Self::IssuingAuthority
                | Self::ReaderAuthority
                | Self::StatusList
                | Self::Bundle
        )
    }

    /// What stops working when its key retires at once.
    #[must_use]
    pub const fn loss(self) -> &'static str {
        match self {
            Self::Root => "the root has no way back: enrol every reader and wallet anew",
            Self::IssuingAuthority => {
                "readers that are offline refuse new documents until they fetch a bundle; documents \
                 of the old authority end when it leaves the bundles: reissue them now"
            }
            Self::DocumentSigner => {
                "nothing stops: documents of the old signer are believed until its certificate ends; \
                 revoke those that are not yours"
            }
            Self::ReaderAuthority => {
                "phones refuse readers with new certificates until they fetch the city's trust, and \
                 readers with old ones from then on: have every reader sync now"
            }
            Self::StatusList => {
                "readers that are offline keep the last status list; beyond its age doors of \
                 normal and high class close to passes that need it"
            }
            Self::Bundle => {
                "nothing stops: a reader takes no more orders from the old key once it \
                             has a bundle of the new one"
            }
            Self::Checkpoint => "auditors who know the old key alone cannot verify new checkpoints",
            Self::Staff => "approvals of the old key count no more",
            Self::Firmware => {
                "readers that are offline refuse new firmware until they fetch a bundle"
            }
        }
    }
}

/// How much haste there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// Publish, wait for the lead, go over.
    Planned,
    /// Go over at once, where nobody has to learn of the key first; refused elsewhere.
    Now,
    /// The old key is in other hands: it retires at once, whatever that closes.
    Compromised,
}

/// Who else works with the same keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// A server sees at once what changes here, as through a key service.
    Shared,
    /// No server may run on the folder: it would not see the change, and stand in its way.
    Alone,
}

/// What is to be rotated.
#[derive(Clone, Debug)]
pub struct Order {
    /// The levels, in the order in which to go through them.
    pub levels: Vec<Level>,
    /// One operator alone; all, where there is none.
    pub operator: Option<OperatorCode>,
    /// How much haste there is.
    pub haste: Haste,
    /// Who else works with the keys.
    pub sharing: Sharing,
    /// The custodian whom the city leaves, as `Key::held_by`: what signs elsewhere already is left alone.
    pub leaving: Option<String>,
}

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// What: `made`, `active`, `retired`, `waits`, `dropped` or `destroyed`.
    pub what: &'static str,
    /// The key, as it is now.
    pub key: Key,
    /// When the next step follows, if a step follows.
    pub next: Option<Instant>,
}

/// Rotates keys. Until the root is at hand nothing but document signers and the log's key can be.
///
/// # Errors
/// [`CeremonyError`]; keys that were made until then stay, and the next call goes on with them.
pub async fn rotate(
    config: &Config,
    custodians: Custodians<'_>,
    order: &Order,
    now: Instant,
) -> Result<Vec<Done>, CeremonyError> {
    let registry = Registry::open(config)?;
    let _lock = match order.sharing {
        Sharing::Shared => None,
        Sharing::Alone => Some(alone(config)?),
    };
    let facts = Facts::load(&registry.store).await?;
    has_keys(&custodians.city.keys(), order)?;
    let bench = Bench {
        public_url: &config.http.public_url,
        suites: &config.keys.suites,
        custodians,
        registry: &registry,
        order,
        now,
    };
    let mut done = Vec::new();
    for level in &order.levels {
        if *level == Level::Root {
            // The root is no operator's.
            if order.operator.is_none() {
                done.extend(root::rotate(&bench, &facts).await?);
            }
            continue;
        }
        for purpose in level.purposes() {
            for operator in bench.owners(*purpose) {
                done.extend(bench.rotate(&facts, *purpose, operator.as_ref()).await?);
            }
        }
    }
    Ok(done)
}

/// The right to change keys where no server would see it.
fn alone(config: &Config) -> Result<FolderLock, CeremonyError> {
    FolderLock::take(&config.store.data).map_err(|error| match error {
        StartError::Busy if config.keys.service.is_some() => CeremonyError::Refused(
            "the server runs and its key service does not answer: start that first, with \
             `limen key serve`"
                .into(),
        ),
        error => error.into(),
    })
}

/// Whether the operator that `order` names has keys of one of its levels.
fn has_keys(keys: &[Key], order: &Order) -> Result<(), CeremonyError> {
    let Some(wanted) = &order.operator else { return Ok(()) };
    let own = || keys.iter().filter(|key| key.operator.as_ref() == Some(wanted));
    let is_ordered = |key: &Key| order.levels.iter().any(|it| it.purposes().contains(&key.purpose));
    if own().any(is_ordered) {
        return Ok(());
    }
    let listed = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join("`, `");
    let purposes = listed(own().map(|key| key.purpose.as_str()).collect());
    if !purposes.is_empty() {
        return Err(CeremonyError::Refused(format!(
            "operator `{wanted}` has no such keys; it has keys for `{purposes}`: leave out --operator"
        )));
    }
    let all = keys.iter().filter_map(|key| key.operator.as_ref()).map(OperatorCode::as_str);
    let all = listed(all.collect());
    Err(CeremonyError::Refused(format!("no operator `{wanted}` has keys; those that do: `{all}`")))
}

/// Keys that would be followed by one of a weaker suite: each with the suite that is set now.
///
/// Readers whose root is hybrid refuse what a weaker key signs; others lose the protection unnoticed.
#[must_use]
pub fn weakened(config: &Config, custodians: Custodians<'_>, order: &Order) -> Vec<(Key, Suite)> {
    let mut found: Vec<(Key, Suite)> = Vec::new();
    let levels = order.levels.iter();
    for purpose in levels.flat_map(|level| level.purposes()) {
        let custodian = match purpose {
            Purpose::CityRoot => custodians.root,
            _ => custodians.city,
        };
        let set = config.keys.suites.of(*purpose);
        let keys = custodian.keys();
        let mut signing: Vec<&Key> = keys.iter().filter(|key| key.purpose == *purpose).collect();
        signing.retain(|key| key.state == State::Active);
        let is_weaker = |key: &Key| !set.algorithm().is_as_strong_as(key.suite.algorithm());
        let weakened = signing.into_iter().filter(|key| is_weaker(key));
        let ordered = |key: &&Key| order.operator.is_none() || key.operator == order.operator;
        found.extend(weakened.filter(ordered).map(|key| (key.clone(), set)));
    }
    found
}

/// Levels of which a city is founded without a key: the first rotation makes one.
const fn is_made_on_demand(purpose: Purpose) -> bool {
    matches!(purpose, Purpose::Staff | Purpose::Firmware)
}

/// The step that makes the first key of such a level.
fn first_key(keys: &[Key], purpose: Purpose, operator: Option<&OperatorCode>) -> Option<Step> {
    let is_begun = keys.iter().any(|key| {
        key.purpose == purpose && key.operator.as_ref() == operator && key.state != State::Retired
    });
    let step = || Step::Make { purpose, operator: operator.cloned(), suite: purpose.suite() };
    (!is_begun && is_made_on_demand(purpose)).then(step)
}

/// What a rotation works with.
struct Bench<'b> {
    public_url: &'b str,
    suites: &'b Suites,
    custodians: Custodians<'b>,
    registry: &'b Registry,
    order: &'b Order,
    now: Instant,
}

impl Bench<'_> {
    fn owners(&self, purpose: Purpose) -> Vec<Option<OperatorCode>> {
        let keys = self.custodians.city.keys();
        let mut owners: Vec<Option<OperatorCode>> = keys
            .iter()
            .filter(|key| key.purpose == purpose)
            .map(|key| key.operator.clone())
            .filter(|owner| self.order.operator.is_none() || *owner == self.order.operator)
            .collect();
        let is_named = self.order.levels.len() == 1 && self.order.operator.is_none();
        if owners.is_empty() && is_named && is_made_on_demand(purpose) {
            owners.push(None);
        }
        owners.sort();
        owners.dedup();
        owners
    }

    /// Makes the successor of one key, or goes on with the one that is under way.
    async fn rotate(
        &self,
        facts: &Facts,
        purpose: Purpose,
        operator: Option<&OperatorCode>,
    ) -> Result<Vec<Done>, CeremonyError> {
        let city = self.custodians.city;
        let lead = lives().lead(purpose, self.suites.of(purpose));
        if self.order.haste == Haste::Now && !lead.is_zero() {
            return Err(CeremonyError::Refused(format!(
                "a key for `{purpose}` must be published for {} days before its first use, or \
                 whoever has not learnt of it denies: leave out --now",
                lead.as_secs() / 86_400
            )));
        }
        let keys = city.keys();
        let mut done = Vec::new();
        if self.has_left(&keys, purpose, operator) {
            return Ok(done);
        }
        let of_line = |key: &&Key| key.purpose == purpose && key.operator.as_ref() == operator;
        let heir = keys.iter().filter(of_line).find(|key| key.state == State::Published);
        let first = || first_key(&keys, purpose, operator);
        let mut heir = match (heir, begin(&keys, purpose, operator).or_else(first)) {
            (Some(heir), _) => heir.clone(),
            (None, Some(Step::Make { purpose, operator, .. })) => {
                let (suite, state) = (self.suites.of(purpose), State::Published);
                let request = NewKey { purpose, operator, suite, state, at: self.now };
                let key = city.generate(request).await.map_err(CeremonyError::fault)?;
                self.record(&key, MAKE).await?;
                key
            }
            _ => return Ok(done),
        };
        if keys::rotation::is_certified(purpose) && heir.certificate.is_none() {
            heir = self.certify(facts, &heir).await?;
        }
        let first_use = heir.state_since.saturating_add(lives().lead(purpose, heir.suite));
        let is_time = first_use <= self.now || self.order.haste == Haste::Compromised;
        if !is_time {
            done.push(Done { what: "made", key: heir, next: Some(first_use) });
            return Ok(done);
        }
        let heir = self.move_on(&heir, State::Active, ACTIVATE).await?;
        let overlap = self.now.saturating_add(lives().of(purpose).overlap);
        let next = (self.order.haste != Haste::Compromised).then_some(overlap);
        done.push(Done { what: "active", key: heir.clone(), next });
        if self.order.haste == Haste::Compromised {
            let old = keys.iter().filter(|key| {
                key.purpose == purpose
                    && key.operator.as_ref() == operator
                    && key.state == State::Active
                    && key.handle != heir.handle
            });
            for key in old {
                let retired = self.move_on(key, State::Retired, RETIRE).await?;
                if purpose == Purpose::ReaderAuthority {
                    // For as long as the city tells of it, phones believe readers of whoever has it.
                    let destroyed = self.custodians.city.destroy(&retired.handle).await;
                    destroyed.map_err(CeremonyError::fault)?;
                    self.record(&retired, DESTROY).await?;
                    done.push(Done { what: "destroyed", key: retired, next: None });
                    continue;
                }
                let end = self.now.saturating_add(lives().of(purpose).hold);
                done.push(Done { what: "retired", key: retired, next: Some(end) });
            }
        }
        Ok(done)
    }

    /// Whether the line has left the custodian that the city leaves: another one's key signs.
    fn has_left(&self, keys: &[Key], purpose: Purpose, operator: Option<&OperatorCode>) -> bool {
        let mut line = keys.iter().rev().filter(|key| {
            key.purpose == purpose
                && key.operator.as_ref() == operator
                && key.state != State::Retired
        });
        let leaving = self.order.leaving.as_deref();
        line.next().is_some_and(|key| {
            key.state == State::Active && leaving.is_some_and(|old| !key.is_held_by(old))
        })
    }

    async fn move_on(
        &self,
        key: &Key,
        state: State,
        what: &'static str,
    ) -> Result<Key, CeremonyError> {
        let moved = self.custodians.city.set_state(&key.handle, state, self.now).await;
        let moved = moved.map_err(CeremonyError::fault)?;
        self.record(&moved, what).await?;
        Ok(moved)
    }

    async fn record(&self, key: &Key, what: &'static str) -> Result<(), CeremonyError> {
        self.registry.record(deed_of(key, what, self.now, host_deed), Vec::new()).await
    }

    /// Certifies a key below the root: with the root, or, of a document signer, with the operator's
    /// issuing authority.
    async fn certify(&self, facts: &Facts, key: &Key) -> Result<Key, CeremonyError> {
        let keeper = self.custodians.city;
        let is_document_signer =
            matches!(key.purpose, Purpose::DocumentSignerMdoc | Purpose::DocumentSignerSdJwt);
        let (above, holder): (Key, &dyn Custody) = if is_document_signer {
            let authority = keeper.newest(Purpose::IssuingAuthority, key.operator.as_ref());
            (authority.ok_or(CeremonyError::NoRoot)?, keeper)
        } else {
            (present_root(self.custodians.root, facts)?, self.custodians.root)
        };
        self.certify_by(facts, key, &above, holder).await
    }

    async fn certify_by(
        &self,
        facts: &Facts,
        key: &Key,
        above: &Key,
        holder: &dyn Custody,
    ) -> Result<Key, CeremonyError> {
        let operator = key.operator.as_ref().map(OperatorCode::as_str);
        let (profile, life, what) = match key.purpose {
            Purpose::IssuingAuthority => {
                (build::Purpose::Authority, AUTHORITY_LIFE, "issuing authority")
            }
            Purpose::ReaderAuthority => (build::Purpose::Authority, AUTHORITY_LIFE, "readers"),
            Purpose::Bundle => (build::Purpose::BundleSigner, SIGNER_LIFE, "bundles"),
            Purpose::DocumentSignerMdoc | Purpose::DocumentSignerSdJwt => (
                build::Purpose::DocumentSigner,
                keys::rotation::lives::DOCUMENT_SIGNER_LIFE,
                key.purpose.as_str(),
            ),
            _ => (build::Purpose::Leaf, SIGNER_LIFE, "status lists"),
        };
        let name = format!("{} {what}", operator.unwrap_or(facts.name.as_str()));
        let subject = Subordinate { name: &name, organization: operator, profile, life };
        let authority =
            Authority { custody: holder, public_url: self.public_url, country: &facts.country };
        authority.certify(self.custodians.city, above, key, &subject, self.now).await
    }
}
