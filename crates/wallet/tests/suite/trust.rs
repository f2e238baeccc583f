//! Trust moves along with the city, and with nobody else.

use credential::x509::build::{self, Purpose, Request, Signer, Subject};
use credential::x509::succession::SuccessionError;
use credential::x509::{ANCHORS_MAX, Certificate};
use wallet::state::State;
use wallet::trust::{FollowError, ROOTS_MAX, Root, Told, Trust};

use crate::city::{CRYPTO, City, Identity, days, key, noon, public, sign};
use crate::gate::Gate;
use crate::phone::Phone;

const NAME: &str = "City root";

/// A root of the city with the key `number`, or what `by` certifies as one: a link.
fn root(number: u8, by: Option<&Identity>) -> Identity {
    let own = key(number);
    let request = Request {
        purpose: Purpose::Root,
        subject: Subject { common_name: NAME, organization: None, country: "UT" },
        key: &public(&own),
        not_before: noon().saturating_sub(days(10)),
        not_after: noon().saturating_add(days(4000)),
        serial_entropy: [number; build::SERIAL_ENTROPY_BYTES],
        issuer_uri: "https://city.example",
        crl_uri: "https://city.example/crl",
    };
    let parsed = by.map(|before| Certificate::parse(&before.der).unwrap());
    let signer = parsed.as_ref().map_or(Signer::Subject, Signer::Authority);
    let unsigned = build::certificate(&request, signer).unwrap();
    let der = sign(by.map_or(&own, |before| &before.key), unsigned).into_bytes();
    Identity { key: own, der }
}

fn first(root: &Identity) -> Root {
    Root { certificate: root.der.clone(), link: None }
}

fn after(before: &Identity, next: &Identity) -> Root {
    let link = root(next.key.danger_bytes()[0], Some(before));
    Root { certificate: next.der.clone(), link: Some(link.der) }
}

/// What `city` tells under `roots`.
fn told(city: &City, roots: &[Root]) -> Told {
    Told {
        roots: roots.to_vec(),
        issuers: vec![city.authority.der.clone()],
        readers: vec![city.reader_authority.der.clone()],
        signers: Vec::new(),
    }
}

/// A city like `City::new` whose authorities are certified by `root`, reader authority number `reader`.
fn city(root: &Identity, reader: u8) -> City {
    let city = City::new();
    let reader_authority = Identity::new(reader, Purpose::Authority, Some(root));
    City {
        authority: Identity::new(2, Purpose::Authority, Some(root)),
        reader: Identity::new(reader + 1, Purpose::Reader, Some(&reader_authority)),
        bundle_signer: Identity::new(6, Purpose::BundleSigner, Some(root)),
        reader_authority,
        root: root.clone(),
        ..city
    }
}

/// A wallet that was made before the reader authority changed meets a reader of the new one: refused
/// until it has heard of it, and never a reader of somebody else.
#[test]
fn wallet_meets_readers_of_the_next_authority_once_it_has_heard_of_it() {
    let old = City::new();
    let next = City {
        reader_authority: Identity::new(30, Purpose::Authority, Some(&old.root)),
        ..City::new()
    };
    let reader = Identity::new(31, Purpose::Reader, Some(&next.reader_authority));
    let next = City { reader, ..next };
    let mut phone = Phone::with_ticket(&old);
    let mut gate = Gate::new(&next);
    let _ = phone.hold(&mut gate);
    assert!(!gate.opened(), "control: it has not heard of the authority");
    let both = vec![old.reader_authority.der.clone(), next.reader_authority.der.clone()];
    let news = Told { readers: both, ..told(&old, &[first(&old.root)]) };
    phone.state.trust = phone.state.trust.follow(CRYPTO, &news, noon()).unwrap();
    let _ = phone.hold(&mut gate);
    assert!(gate.opened());
    let mut before = Gate::new(&old);
    let _ = phone.hold(&mut before);
    assert!(before.opened(), "the authority before it is told still");
    // Once it is told no more, it is trusted no more.
    let news = told(&next, &[first(&old.root)]);
    phone.state.trust = phone.state.trust.follow(CRYPTO, &news, noon()).unwrap();
    let _ = phone.hold(&mut before);
    assert!(!before.opened());
    // What was followed is kept.
    let sealed = phone.state.seal(CRYPTO, &[1; 32], [2; 12]);
    let opened = State::open(CRYPTO, &[1; 32], &sealed).unwrap();
    assert_eq!(opened.trust.parts(), phone.state.trust.parts());
    assert_eq!(opened.trust.parts().readers, news.readers);
}

/// Document signers whom passes name are believed as far as an authority that is told vouches for them.
#[test]
fn document_signers_are_believed_below_their_authorities() {
    let (own, foreign) = (City::new(), City::numbered(40));
    let trust = Trust::new(own.parts()).unwrap();
    let follow = |signers: Vec<Vec<u8>>| {
        let news = Told { signers, ..told(&own, &[first(&own.root)]) };
        trust.follow(CRYPTO, &news, noon()).map(|trust| trust.parts().issuers.clone())
    };
    let (authority, signer) = (own.authority.der.clone(), own.signer.der.clone());
    assert_eq!(follow(vec![signer.clone()]).unwrap(), [authority.clone(), signer.clone()]);
    let with_foreign = vec![foreign.signer.der.clone(), signer.clone()];
    assert_eq!(follow(with_foreign).unwrap(), [authority.clone(), signer]);
    let alone = std::slice::from_ref(&authority);
    assert_eq!(follow(Vec::new()).unwrap(), alone, "told no more");
    assert!(matches!(follow(vec![authority]), Err(FollowError::Foreign { .. })));
    assert!(matches!(follow(vec![vec![0]]), Err(FollowError::Unreadable)));
}

#[test]
fn an_authority_of_somebody_else_is_refused_and_nothing_changes() {
    let own = City::new();
    let trust = Trust::new(own.parts()).unwrap();
    let foreign = City::numbered(40);
    let check = |news: Told, expected: FollowError| {
        assert_eq!(trust.follow(CRYPTO, &news, noon()).unwrap_err(), expected);
    };
    let roots = [first(&own.root)];
    assert!(trust.follow(CRYPTO, &told(&own, &roots), noon()).is_ok(), "control");
    let subject = |of: &Identity| Certificate::parse(&of.der).unwrap().subject.to_string();
    let readers = vec![own.reader_authority.der.clone(), foreign.reader_authority.der.clone()];
    check(
        Told { readers, ..told(&own, &roots) },
        FollowError::Foreign { subject: subject(&foreign.reader_authority) },
    );
    let issuers = vec![foreign.authority.der.clone()];
    check(
        Told { issuers, ..told(&own, &roots) },
        FollowError::Foreign { subject: subject(&foreign.authority) },
    );
    // A certificate of the city that may not certify is no authority, whoever signed it.
    let readers = vec![own.bundle_signer.der.clone()];
    check(
        Told { readers, ..told(&own, &roots) },
        FollowError::Foreign { subject: subject(&own.bundle_signer) },
    );
    check(told(&foreign, &[first(&foreign.root)]), FollowError::Roots(SuccessionError::LeftOut));
    // A root that brings its own authorities along, and vouches for itself alone.
    let both = [first(&own.root), first(&foreign.root)];
    check(told(&foreign, &both), FollowError::Roots(SuccessionError::Unlinked));
    check(Told { readers: Vec::new(), ..told(&own, &roots) }, FollowError::NoAuthority);
    check(Told { readers: vec![vec![0]], ..told(&own, &roots) }, FollowError::Unreadable);
    check(told(&own, &[]), FollowError::Roots(SuccessionError::LeftOut));
    let many = vec![own.reader_authority.der.clone(); ANCHORS_MAX + 1];
    let news = Told { readers: many, ..told(&own, &roots) };
    let refused = trust.follow(CRYPTO, &news, noon());
    assert!(matches!(refused, Err(FollowError::Anchor(_))), "{refused:?}");
}

#[test]
fn trust_follows_from_root_to_root_and_not_back() {
    let (a, b) = (root(101, None), root(102, None));
    let link = after(&a, &b);
    let (under_a, under_b) = (city(&a, 30), city(&b, 40));
    let trust = Trust::new(under_a.parts()).unwrap();
    let overlap = [first(&a), link.clone()];
    let both = Told {
        readers: vec![under_a.reader_authority.der.clone(), under_b.reader_authority.der.clone()],
        ..told(&under_b, &overlap)
    };
    let moved = trust.follow(CRYPTO, &both, noon()).unwrap();
    assert_eq!(moved.parts().roots, [a.der.clone(), b.der.clone()]);
    assert_eq!(moved.parts().readers.len(), 2);
    // In a drawer for all of the overlap.
    let late = trust.follow(CRYPTO, &told(&under_b, &overlap[1..]), noon()).unwrap();
    assert_eq!(late.parts().roots, std::slice::from_ref(&b.der));
    // Who was made under the new root knows nothing of the old one, and what that certified.
    let young = Trust::new(under_b.parts()).unwrap();
    let young = young.follow(CRYPTO, &both, noon()).unwrap();
    assert_eq!(young.parts().roots, std::slice::from_ref(&b.der));
    assert_eq!(young.parts().readers, told(&under_b, &[]).readers);
    // Back to the old root alone, and a link of somebody else.
    let back = moved.follow(CRYPTO, &told(&under_a, &overlap[..1]), noon());
    assert_eq!(back.unwrap_err(), FollowError::Roots(SuccessionError::LeftOut));
    let stranger = root(110, None);
    let forged = [first(&a), after(&stranger, &b)];
    let refused = trust.follow(CRYPTO, &told(&under_b, &forged), noon());
    assert_eq!(refused.unwrap_err(), FollowError::Roots(SuccessionError::Unlinked));
}

#[test]
fn roots_have_their_limit_and_a_wallet_without_one_follows_nobody() {
    let own = City::new();
    let trust = Trust::new(own.parts()).unwrap();
    // What stands before the pinned root is older than the wallet.
    let chain = |count: u8| {
        let older = (0..count - 1).map(|number| first(&root(120 + number, None)));
        older.chain([first(&own.root)]).collect::<Vec<_>>()
    };
    let limit = u8::try_from(ROOTS_MAX).unwrap();
    assert!(trust.follow(CRYPTO, &told(&own, &chain(limit)), noon()).is_ok());
    let refused = trust.follow(CRYPTO, &told(&own, &chain(limit + 1)), noon());
    assert_eq!(refused.unwrap_err(), FollowError::TooManyRoots);
    let rootless = Trust::default().follow(CRYPTO, &told(&own, &chain(1)), noon());
    assert_eq!(rootless.unwrap_err(), FollowError::NoRoot);
}
