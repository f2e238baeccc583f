//! What a gate needs for the express tap (`specs/express-tap.md`), made ready when a bundle counts:
//! at a tap there are tags to compare and nothing to hash.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use credential::crypto::Crypto;
use presentation::express::handle::{Content, Index};
use presentation::express::{Context, ScopeId, class_tag, product_tag};
use vocabulary::code::{OperatorCode, ProductCode};

use crate::table::{Closed, Door, Need};

/// Handles that a gate remembers, so that a copied one is found here at once.
pub const SEEN_MAX: usize = 1_024;
/// Counted uses of which a gate does not know whether they were written.
pub const UNRATIFIED_MAX: usize = 64;

/// A door as express taps see it.
#[derive(Debug)]
pub(crate) struct ExpressDoor {
    rules: Vec<ExpressRule>,
}

/// A rule of the door's table, for passes of one scope.
#[derive(Debug)]
pub(crate) struct ExpressRule {
    scope: ScopeId,
    product_tag: [u8; 8],
    class_tag: Option<[u8; 4]>,
    needs_place: bool,
    /// Its place among the rules of the door.
    pub(crate) rule: u16,
    pub(crate) operator: OperatorCode,
    pub(crate) product: ProductCode,
}

impl ExpressDoor {
    pub(crate) fn new(crypto: &dyn Crypto, door: &Door) -> Self {
        let rules = door.rules().iter().zip(0_u16..).map(|(rule, place)| ExpressRule {
            scope: ScopeId::new(crypto, &rule.operator, door.zone()),
            product_tag: product_tag(crypto, rule.product.as_str()),
            class_tag: rule.class.as_ref().map(|class| class_tag(crypto, class.as_str())),
            needs_place: rule.need == Need::Place,
            rule: place,
            operator: rule.operator.clone(),
            product: rule.product.clone(),
        });
        let mut rules: Vec<ExpressRule> = rules.collect();
        rules.sort_by_key(|rule| (rule.scope, rule.product_tag, rule.rule));
        Self { rules }
    }

    /// Whether some pass of `scope` may open this door without naming its place.
    pub(crate) fn knows(&self, scope: ScopeId) -> bool {
        self.rules.iter().any(|rule| rule.scope == scope && !rule.needs_place)
    }

    /// The first rule that opens the door to a handle of `scope`.
    pub(crate) fn judge(&self, scope: ScopeId, content: &Content) -> Result<&ExpressRule, Closed> {
        let wanted = (scope, content.product);
        let first = self.rules.partition_point(|rule| (rule.scope, rule.product_tag) < wanted);
        let mut nearest = Closed::Product;
        for rule in self.rules.iter().skip(first) {
            if (rule.scope, rule.product_tag) != wanted {
                break;
            }
            let reason = match rule.class_tag {
                Some(_) if rule.class_tag != content.class => Closed::Class,
                _ if rule.needs_place => Closed::Place,
                _ => return Ok(rule),
            };
            nearest = nearest.max(reason);
        }
        Err(nearest)
    }
}

/// The handles that were used at this gate, the newest [`SEEN_MAX`].
#[derive(Debug, Default)]
pub(crate) struct Seen {
    ring: Vec<(u32, Index, u16)>,
    next: usize,
}

impl Seen {
    /// Whether the handle was used here before; from now on it was.
    pub(crate) fn note(&mut self, context: Context, status: Index, number: u16) -> bool {
        let entry = (context.epoch, status, number);
        if self.ring.contains(&entry) {
            return true;
        }
        match self.ring.get_mut(self.next) {
            Some(oldest) => *oldest = entry,
            None => self.ring.push(entry),
        }
        self.next = (self.next + 1) % SEEN_MAX;
        false
    }
}

/// Uses that were sent to a holder and of which the gate heard no more.
#[derive(Debug, Default)]
pub(crate) struct Unratified {
    entries: VecDeque<(Index, [u8; 4])>,
}

impl Unratified {
    pub(crate) fn note(&mut self, index: Index, mark: [u8; 4]) {
        self.entries.retain(|(other, _)| *other != index);
        if self.entries.len() == UNRATIFIED_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back((index, mark));
    }

    /// Whether the state with `mark` is one that this gate sent: then the ride is paid. Asked once:
    /// whatever the answer, the next use of `index` is another.
    pub(crate) fn settle(&mut self, index: Index, mark: [u8; 4]) -> bool {
        let place = self.entries.iter().position(|(other, _)| *other == index);
        let entry = place.and_then(|place| self.entries.remove(place));
        entry.is_some_and(|(_, sent)| sent == mark)
    }
}
