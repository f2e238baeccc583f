//! A foreign reader against our card: crate `ntag424`, which was written from NXP's public papers and
//! drives authentication, secure messaging, keys and files.
//!
//! Two things of that product are not ours, and the link here stands between: it selects an NDEF
//! application by name, and its identifier is read by the radio. Ours is selected by scope.

use card::Scope;
use ntag424::{AuthenticatedSession, File, Response, Session, Transport};
use ntag424::{CommMode, KeyNumber, NonMasterKeyNumber};

use crate::bench::{Bench, EPOCH, IDENTIFIER, METRO, batch, none, operator_keys, scope};
use crate::desk::{SELECT, native};

struct Air<'b> {
    bench: &'b mut Bench,
    scope: Scope,
}

impl Transport for Air<'_> {
    type Error = core::convert::Infallible;
    type Data = Vec<u8>;

    async fn transmit(&mut self, apdu: &[u8]) -> Result<Response<Vec<u8>>, Self::Error> {
        let mut data = if apdu[1] == 0xA4 {
            self.bench.command(&SELECT);
            self.bench.command(&native(0x5A, &self.scope));
            vec![0x90, 0x00]
        } else {
            self.bench.command(apdu)
        };
        let sw2 = data.pop().unwrap();
        let sw1 = data.pop().unwrap();
        Ok(Response { data, sw1, sw2 })
    }

    async fn get_uid(&mut self) -> Result<Vec<u8>, Self::Error> {
        unreachable!("no one asks the radio")
    }
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    let mut work = core::pin::pin!(work);
    let mut context = core::task::Context::from_waker(core::task::Waker::noop());
    match work.as_mut().poll(&mut context) {
        core::task::Poll::Ready(done) => done,
        core::task::Poll::Pending => panic!("nothing here waits"),
    }
}

#[test]
fn a_foreign_reader_loads_handles_and_reads_and_tops_up_the_counted_state() {
    let mut bench = Bench::personalised(3);
    let keys = operator_keys(METRO, 1);
    let next = batch(METRO, EPOCH, 40..60);
    wait(async {
        let mut air = Air { bench: &mut bench, scope: scope(METRO) };
        let session = Session::new();
        let session = session
            .authenticate_aes(&mut air, KeyNumber::Key2, &keys[2].0, [0x3C; 16])
            .await
            .unwrap();
        let mut found = [0; 12];
        let (length, session) = session
            .read_file_with_mode(
                &mut air,
                File::CapabilityContainer,
                0,
                12,
                CommMode::Full,
                &mut found,
            )
            .await
            .unwrap();
        assert_eq!((length, found), (12, [0, 0, 0, 1, 0, 0, 0, 20, 0, 0, 0, 0]));
        let state = [0, 0, 0, 2, 0, 0, 0, 99, 1, 2, 3, 4];
        let session = session
            .write_file_with_mode(&mut air, File::CapabilityContainer, 0, &state, CommMode::Full)
            .await
            .unwrap();
        let session = session
            .write_file_with_mode(&mut air, File::Ndef, 0, &[7; 200], CommMode::Full)
            .await
            .unwrap();
        let (identifier, session) = session.get_uid(&mut air).await.unwrap();
        assert_eq!(identifier, IDENTIFIER);
        // It goes on under another key in the same transaction (AuthenticateEV2NonFirst).
        let (transaction, counter) = (*session.ti(), session.cmd_counter());
        let session =
            session.authenticate(&mut air, KeyNumber::Key1, &keys[1].0, [0xD2; 16]).await.unwrap();
        assert_eq!((*session.ti(), session.cmd_counter()), (transaction, counter));
        let (version, session) = session.get_key_version(&mut air, KeyNumber::Key0).await.unwrap();
        assert_eq!(version, 1);
        let mut standing = [0; 26];
        let refused = session
            .read_file_with_mode(&mut air, File::Proprietary, 0, 14, CommMode::Full, &mut standing)
            .await;
        assert!(refused.is_err(), "the identifying key reads nothing else");
    });
    assert_eq!(bench.standing(METRO).unwrap().counted.value, 99);
    // What it wrote was not committed: it has no command for that. Ours commits its own.
    assert_eq!(bench.tap(METRO, none).unwrap().0.content.number, 0);
    bench.load(METRO, &next).unwrap();
    assert_eq!(bench.tap(METRO, none).unwrap().0.content.number, 40);
}

#[test]
fn a_foreign_reader_changes_every_key_and_is_refused_with_the_old_ones() {
    let mut bench = Bench::personalised(3);
    let (old, new) = (operator_keys(METRO, 1), operator_keys(METRO, 2));
    wait(async {
        let mut air = Air { bench: &mut bench, scope: scope(METRO) };
        let session = Session::new();
        let session =
            session.authenticate_aes(&mut air, KeyNumber::Key0, &old[0].0, [1; 16]).await.unwrap();
        let mut session = session;
        for (number, index) in [(NonMasterKeyNumber::Key1, 1), (NonMasterKeyNumber::Key2, 2)] {
            session = session
                .change_key(&mut air, number, &new[index].0, 2, &old[index].0)
                .await
                .unwrap();
        }
        let session = session.change_master_key(&mut air, &new[0].0, 2).await.unwrap();
        let numbers = [KeyNumber::Key0, KeyNumber::Key1, KeyNumber::Key2];
        let mut session = Some(session);
        for (number, index) in numbers.into_iter().zip(0..) {
            let fresh = session.take().unwrap_or_default();
            let refused = fresh.authenticate_aes(&mut air, number, &old[index].0, [2; 16]).await;
            assert!(refused.is_err());
            let opened =
                Session::new().authenticate_aes(&mut air, number, &new[index].0, [3; 16]).await;
            let (version, _) = opened.unwrap().get_key_version(&mut air, number).await.unwrap();
            assert_eq!(version, 2);
        }
        let absent =
            Session::new().authenticate_aes(&mut air, KeyNumber::Key4, &[0; 16], [4; 16]).await;
        assert!(absent.is_err());
    });
    assert_eq!(bench.standing(METRO).unwrap().versions, [2, 2, 2]);
}
