//! The rows of a store, in memory, under the one rule that `Change` states.

use issuance::change::Change;
use issuance::document::Document;
use issuance::handles::HandleIndex;
use issuance::offer::Offer;
use issuance::once::Once;
use issuance::pass::Pass;
use issuance::product::Product;
use issuance::secret::Digest;
use issuance::status_list::StatusList;
use issuance::token::Grant;

#[derive(Clone, Default)]
pub struct Rows {
    pub products: Vec<Product>,
    pub passes: Vec<Pass>,
    pub offers: Vec<Offer>,
    pub grants: Vec<Grant>,
    pub documents: Vec<Document>,
    pub handles: Vec<HandleIndex>,
    pub status_lists: Vec<StatusList>,
    pub onces: Vec<Once>,
}

/// Another deed came first.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict;

impl Rows {
    /// All changes or none.
    pub fn commit(&mut self, changes: Vec<Change>) -> Result<(), Conflict> {
        let mut next = self.clone();
        for change in changes {
            match change {
                Change::Product(row) => {
                    put(&mut next.products, row, |p| (p.code.clone(), p.version))?
                }
                Change::Pass(row) => put(&mut next.passes, row, |p| (p.id, p.version))?,
                Change::Offer(row) => put(&mut next.offers, row, |o| (o.id, o.version))?,
                Change::Grant(row) => put(&mut next.grants, row, |g| (g.token_digest, g.version))?,
                Change::Document(row) => {
                    let place = |d: &Document| (d.status_list, d.status_index);
                    let taken = |d: &Document| d.id != row.id && place(d) == place(&row);
                    if next.documents.iter().any(taken) {
                        return Err(Conflict);
                    }
                    put(&mut next.documents, row, |d| (d.id, d.version))?;
                }
                Change::HandleIndex(row) => {
                    put(&mut next.handles, row, |h| ((h.pass, h.zone.clone(), h.epoch), h.version))?
                }
                Change::StatusList(row) => {
                    put(&mut next.status_lists, row, |l| (l.number, l.version))?;
                }
                Change::Once(row) => {
                    let same = |o: &Once| (o.scope, o.digest) == (row.scope, row.digest);
                    if next.onces.iter().any(same) {
                        return Err(Conflict);
                    }
                    next.onces.push(row);
                }
            }
        }
        *self = next;
        Ok(())
    }

    pub fn offer(&self, code_digest: Digest) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.code_digest == code_digest)
    }

    pub fn grant(&self, token_digest: Digest) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.token_digest == token_digest)
    }

    pub fn free(&self, drawn: &[u32]) -> Vec<u32> {
        let taken = |index: &u32| self.documents.iter().any(|d| d.status_index == *index);
        drawn.iter().copied().filter(|index| !taken(index)).collect()
    }
}

/// Version 1 must not be there, version n + 1 must find version n.
fn put<T, K: PartialEq>(
    rows: &mut Vec<T>,
    row: T,
    key: impl Fn(&T) -> (K, u32),
) -> Result<(), Conflict> {
    let (name, version) = key(&row);
    match rows.iter_mut().find(|known| key(known).0 == name) {
        None if version == 1 => rows.push(row),
        Some(known) if key(known).1 + 1 == version => *known = row,
        _ => return Err(Conflict),
    }
    Ok(())
}
