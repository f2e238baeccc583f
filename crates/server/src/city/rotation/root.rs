//! The root's own rotation, in steps that are days apart; each call takes those that are due.
//!
//! 1. A successor is made and signs itself; the old root certifies its key as well: the link. Both
//!    are published.
//! 2. After the lead the city goes over: authorities are certified anew by the successor, a new
//!    signer of bundles is made under it, and the old root signs no more.
//! 3. After the overlap the old root leaves the bundles. 4. Then its key is destroyed.
//!
//! The successor must sign itself before its time, so that its state at the custodian is active from
//! the start; which root the city certifies with stands in its facts.

use credential::x509::Certificate;
use credential::x509::build;
use keys::custody::{Key, NewKey, State};
use keys::purpose::Purpose;
use keys::rotation::lives::Life;
use reader::roots::{ROOTS_MAX, Root};
use store::commit::Change;

use super::{Bench, Done, Haste};
use crate::city::ceremony::{CeremonyError, ROOT_LIFE, host_deed, present_root};
use crate::city::certificate::{Wanted, certificate};
use crate::city::facts::{Facts, SETTING, city};
use crate::sign::sign;
use crate::work::rotation::{ACTIVATE, DESTROY, MAKE, RETIRE, deed_of, lives};

pub(super) async fn rotate(bench: &Bench<'_>, facts: &Facts) -> Result<Vec<Done>, CeremonyError> {
    if bench.order.haste != Haste::Planned {
        return Err(CeremonyError::Refused(
            "readers follow a root only by the word of the one before it, and wallets need a month \
             to learn of it: a root that is in other hands is replaced by enrolling anew"
                .into(),
        ));
    }
    let life = lives().of(Purpose::CityRoot);
    let root = bench.custodians.root;
    let present = present_root(root, facts)?;
    let keys = root.keys();
    let newest = facts.roots.last().map(|root| root.certificate.as_slice());
    if newest != Some(&*facts.root) {
        let successor = keys.iter().find(|key| key.certificate.as_deref() == newest);
        let successor = successor.ok_or(CeremonyError::NoRoot)?;
        let first_use = successor.created_at.saturating_add(life.lead);
        if bench.now < first_use {
            let next = Some(first_use);
            return Ok(vec![Done { what: "waits", key: successor.clone(), next }]);
        }
        return go_over(bench, facts, &present, successor, life).await;
    }
    let mut done = leave_behind(bench, facts, life).await?;
    if done.is_empty() {
        done.push(make(bench, facts, &present, life).await?);
    }
    Ok(done)
}

/// Makes the successor and its link, and publishes both.
async fn make(
    bench: &Bench<'_>,
    facts: &Facts,
    present: &Key,
    life: Life,
) -> Result<Done, CeremonyError> {
    if facts.roots.len() >= ROOTS_MAX {
        return Err(CeremonyError::Refused(format!(
            "a city has at most {ROOTS_MAX} roots at a time"
        )));
    }
    let custody = bench.custodians.root;
    let own = Certificate::parse(&facts.root).map_err(|_| CeremonyError::NoRoot)?;
    // A link is known by its name: that of the root before it.
    let name = own.subject.common_name().ok_or(CeremonyError::NoRoot)?.to_owned();
    // Readers follow no root to one of a weaker suite.
    let wanted = bench.suites.of(Purpose::CityRoot);
    let is_as_strong = wanted.algorithm().is_as_strong_as(present.suite.algorithm());
    let suite = if is_as_strong { wanted } else { present.suite };
    let request = NewKey {
        purpose: Purpose::CityRoot,
        operator: None,
        suite,
        state: State::Active,
        at: bench.now,
    };
    let key = custody.generate(request).await.map_err(CeremonyError::fault)?;
    let wanted = Wanted {
        purpose: build::Purpose::Root,
        common_name: &name,
        organization: own.subject.organization(),
        country: &facts.country,
        public_url: bench.public_url,
        key: &key.public_key,
        life: ROOT_LIFE,
    };
    let itself = certificate(&wanted, None, bench.now).map_err(CeremonyError::fault)?;
    let itself = sign(custody, &key, itself).await.map_err(CeremonyError::fault)?;
    let link = certificate(&wanted, Some(&facts.root), bench.now).map_err(CeremonyError::fault)?;
    let link = sign(custody, present, link).await.map_err(CeremonyError::fault)?;
    let key = custody.attach_certificate(&key.handle, itself.as_bytes()).await;
    let key = key.map_err(CeremonyError::fault)?;
    let mut next = facts.clone();
    let (certificate, link) = (itself.into_bytes(), Some(link.into_bytes()));
    next.roots.push(Root { certificate, link });
    keep(bench, &next, &key, MAKE).await?;
    let first_use = bench.now.saturating_add(life.lead);
    Ok(Done { what: "made", key, next: Some(first_use) })
}

/// Lets the successor certify from now on, and the old root nothing more.
async fn go_over(
    bench: &Bench<'_>,
    facts: &Facts,
    present: &Key,
    successor: &Key,
    life: Life,
) -> Result<Vec<Done>, CeremonyError> {
    let (root, keeper) = (bench.custodians.root, bench.custodians.city);
    let certificate = successor.certificate.as_deref().unwrap_or_default().to_vec();
    let next = Facts { root: certificate, ..facts.clone() };
    // Whoever checks authorities against the root finds them under the new one.
    let keys = keeper.keys();
    let authorities = keys.iter().filter(|key| {
        matches!(key.purpose, Purpose::IssuingAuthority | Purpose::ReaderAuthority)
            && key.certificate.is_some()
    });
    for key in authorities {
        bench.certify_again(&next, key, successor).await?;
    }
    keep(bench, &next, successor, ACTIVATE).await?;
    let mut done = vec![Done { what: "active", key: successor.clone(), next: None }];
    // Bundles are signed under the new root as soon as readers may know it.
    done.extend(bench.rotate(&next, Purpose::Bundle, None).await?);
    let retired = root.set_state(&present.handle, State::Retired, bench.now).await;
    let retired = retired.map_err(CeremonyError::fault)?;
    bench.record(&retired, RETIRE).await?;
    let leaves = bench.now.saturating_add(life.overlap);
    done.push(Done { what: "retired", key: retired, next: Some(leaves) });
    Ok(done)
}

/// Takes roots that retired long enough ago out of the bundles, and destroys those that are out.
async fn leave_behind(
    bench: &Bench<'_>,
    facts: &Facts,
    life: Life,
) -> Result<Vec<Done>, CeremonyError> {
    let root = bench.custodians.root;
    let keys = root.keys();
    let mut done = Vec::new();
    for key in keys.iter().filter(|key| key.state == State::Retired) {
        let leaves = key.state_since.saturating_add(life.overlap);
        let end = leaves.saturating_add(life.hold);
        let listed = |it: &Root| Some(&*it.certificate) == key.certificate.as_deref();
        let is_listed = facts.roots.iter().any(listed);
        if is_listed && bench.now < leaves {
            done.push(Done { what: "waits", key: key.clone(), next: Some(leaves) });
        } else if is_listed {
            let mut next = facts.clone();
            next.roots.retain(|root| !listed(root));
            keep(bench, &next, key, "key.drop").await?;
            done.push(Done { what: "dropped", key: key.clone(), next: Some(end) });
        } else if end <= bench.now {
            root.destroy(&key.handle).await.map_err(CeremonyError::fault)?;
            bench.record(key, DESTROY).await?;
            done.push(Done { what: "destroyed", key: key.clone(), next: None });
        }
    }
    Ok(done)
}

/// Writes the facts of the city and the record of the deed, together.
async fn keep(
    bench: &Bench<'_>,
    facts: &Facts,
    key: &Key,
    what: &'static str,
) -> Result<(), CeremonyError> {
    let tenant = bench.registry.store.for_operator(&city());
    let stored = tenant.setting(SETTING).await.map_err(CeremonyError::fault)?;
    let version = stored.map_or(1, |setting| setting.version.saturating_add(1));
    let change = Change::Setting(facts.setting(version));
    bench.registry.record(deed_of(key, what, bench.now, host_deed), vec![change]).await
}

impl Bench<'_> {
    /// Certifies a key of the city by another root, under the name that it has.
    async fn certify_again(
        &self,
        facts: &Facts,
        key: &Key,
        by: &Key,
    ) -> Result<Key, CeremonyError> {
        let der = key.certificate.as_deref().unwrap_or_default();
        let own = Certificate::parse(der).map_err(CeremonyError::fault)?;
        let wanted = Wanted {
            purpose: build::Purpose::Authority,
            common_name: own.subject.common_name().unwrap_or_default(),
            organization: own.subject.organization(),
            country: &facts.country,
            public_url: self.public_url,
            key: &key.public_key,
            // It ends when it would have ended.
            life: own.not_after.duration_since(self.now),
        };
        let unsigned = certificate(&wanted, by.certificate.as_deref(), self.now);
        let unsigned = unsigned.map_err(CeremonyError::fault)?;
        let signed = sign(self.custodians.root, by, unsigned).await;
        let signed = signed.map_err(CeremonyError::fault)?;
        let kept = self.custodians.city.attach_certificate(&key.handle, signed.as_bytes()).await;
        kept.map_err(CeremonyError::fault)
    }
}
