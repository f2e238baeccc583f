//! A city moves from one token to another: the foreign client sees the keys of the new one, and after
//! their time no longer those of the old one.

use std::sync::Arc;

use keys::custody::{Custody, NewKey, SignError, State};
use keys::pair::Pair;
use keys::purpose::Purpose;
use keys::rotation::{Step, begin};
use keys::token::{Role, Token};

use crate::pair::{DAY, NOW, checkpoint, turn};
use crate::softhsm::{Softhsm, alone};

#[test]
fn a_city_moves_from_one_token_to_another() {
    alone(|softhsm| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let open = |label: &str| -> Arc<Token> {
            let settings = softhsm.token(label);
            Arc::new(Token::open(&settings, Softhsm::pin(), Role::City).unwrap())
        };
        let (old, new) = (open("old"), open("new"));
        let pair = Pair::new(old.clone(), new.clone());
        let private = |label: &str| {
            let listed = softhsm.pkcs11_tool(label, &["--list-objects", "--type", "privkey"]);
            listed.matches("Private Key Object").count()
        };
        let purpose = Purpose::Checkpoint;
        let request = NewKey::active(purpose, None, NOW);
        let first = runtime.block_on(old.generate(request)).unwrap();
        assert_eq!((private("old"), private("new")), (1, 0));
        let Some(Step::Make { purpose, operator, suite }) = begin(&pair.keys(), purpose, None)
        else {
            panic!("nothing to begin")
        };
        let request = NewKey { purpose, operator, suite, state: State::Published, at: NOW };
        let heir = runtime.block_on(pair.generate(request)).unwrap();
        assert_eq!(&*heir.held_by, "token:new");
        assert_eq!((private("old"), private("new")), (1, 1));
        let over = NOW.saturating_add(DAY * 30);
        turn(&pair, over);
        let sign = |handle| runtime.block_on(pair.sign(handle, &checkpoint()));
        assert!(sign(&first.handle).is_ok() && sign(&heir.handle).is_ok(), "control: both sign");
        runtime.block_on(pair.retire_old(over)).unwrap();
        let refused = SignError::NotActive { handle: first.handle, state: State::Retired };
        assert_eq!(sign(&first.handle), Err(refused));
        assert_eq!((private("old"), private("new")), (1, 1), "kept until what it signed has ended");
        turn(&pair, over.saturating_add(DAY));
        assert_eq!((private("old"), private("new")), (0, 1));
        assert!(sign(&heir.handle).is_ok());
    });
}
