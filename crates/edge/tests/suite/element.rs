//! The secure element in software: what it opens, what it keeps through a crash, who may read it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use aws_lc_rs::kem::{EncapsulationKey, ML_KEM_768};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use credential::aws_lc::AwsLc;
use credential::crypto::{Crypto, P256Secret, PublicKey, SharedSecret};
use credential::delivery::recipient::Recipient;
use credential::delivery::schedule::{Agreed, Inner, Sent, seal};
use credential::delivery::{Context, Delivery, DeliveryError, Kcv, Purpose, Scope, Suite};
use edge::element::{FILE, SoftwareElement, TITLE};
use presentation::express;
use presentation::express::handle::{Content, Handle, HandleError, Index, TapKey};
use presentation::express::reader::{HandleOpener, OpenError};
use presentation::express::schedule::ScopeKeys;
use reader::delivery::{ElementError, Held, SecureElement, take};
use vocabulary::id::ReaderId;

use crate::city::{City, READER as CITY_READER, noon};
use crate::place::Place;

const READER: [u8; 16] = [3; 16];
const KEY: [u8; 32] = [0xa7; 32];

fn kcv(key: &[u8]) -> Kcv {
    use aws_lc_rs::cmac;
    let key = cmac::Key::new(cmac::AES_256, key).unwrap();
    Kcv::of_mac(cmac::sign(&key, &[0; 16]).unwrap().as_ref().try_into().unwrap())
}

fn context(epoch: u64) -> Context {
    Context {
        recipient: READER,
        purpose: Purpose::Epoch,
        scope: Scope { operator: "tram".parse().unwrap(), zone: None },
        epoch,
        version: 1,
        subject: Vec::new(),
        kcv: kcv(&KEY),
    }
}

/// What a vault sends; its own code is in another crate, which this one does not import.
fn delivery(recipient: &Recipient, context: Context, key: &[u8]) -> Delivery {
    let ephemeral = |number: u8| {
        let secret = P256Secret::from_bytes([number; 32]);
        let agreed = AwsLc.p256_agree(&secret, recipient.p256()).unwrap();
        (AwsLc.p256_public(&secret).unwrap(), agreed)
    };
    let (point, kek) = ephemeral(21);
    let mut wrapped = vec![0; key.len() + 8];
    let kek = AesKek::new(&AES_256, kek.danger_bytes()).unwrap();
    kek.wrap(key, &mut wrapped).unwrap();
    let inner = Inner { ephemeral: point, wrapped };
    let (point, p256) = ephemeral(22);
    let encapsulated = recipient.ml_kem().map(|key| {
        let (ciphertext, shared) =
            EncapsulationKey::new(&ML_KEM_768, key).unwrap().encapsulate().unwrap();
        let shared = SharedSecret::from_bytes(shared.as_ref().try_into().unwrap());
        (ciphertext.as_ref().to_vec(), shared)
    });
    let (encapsulated, ml_kem) = encapsulated.unzip();
    let agreed = Agreed { p256: &p256, ml_kem: ml_kem.as_ref() };
    let sent = Sent { ephemeral: point, encapsulated };
    seal(&AwsLc, context, recipient, sent, &agreed, &inner).unwrap()
}

#[test]
fn keys_are_in_use_once_they_are_durable_and_survive() {
    for suite in [Suite::P256, Suite::P256MlKem768] {
        let folder = Place::empty();
        let mut element = SoftwareElement::create(&folder.path, suite).unwrap();
        let sent = delivery(element.recipient(), context(10), &KEY);
        element.unwrap(&sent).unwrap();
        let held = Held::of(&sent);
        assert_eq!(element.mac(&held, b"tap"), Err(ElementError::NoKey));
        let unused = SoftwareElement::open(&folder.path).unwrap().unwrap();
        assert_eq!(unused.held(), []);
        let reader = ReaderId::from_bytes(READER);
        let mut element = unused;
        let taken = take(&mut element, reader, &[sent.encode()]).unwrap();
        assert_eq!(taken.installed, std::slice::from_ref(&held));
        let tag = element.mac(&held, b"tap").unwrap();
        let mut again = SoftwareElement::open(&folder.path).unwrap().unwrap();
        assert_eq!(again.held(), element.held());
        assert_eq!(again.marks(), element.marks());
        assert_eq!(again.mac(&held, b"tap"), Ok(tag));
        // What was taken opens still, and is known.
        assert_eq!(take(&mut again, reader, &[sent.encode()]).unwrap().known, 1);
        // The control of the test that looks for keys elsewhere: here they are.
        let file = fs::read(folder.path.join(FILE)).unwrap();
        assert!(file.windows(KEY.len()).any(|window| window == KEY));
        assert!(file.windows(TITLE.len()).any(|window| window == TITLE.as_bytes()));
    }
}

fn handle(epoch: u32, key: &[u8; 32]) -> (express::Context, Handle, TapKey) {
    let scope = express::ScopeId::new(&AwsLc, &"tram".parse().unwrap(), None);
    let context = express::Context { scope, epoch };
    let content = Content {
        needs_presence: false,
        is_counted: false,
        product: [1; 8],
        class: None,
        status: Index { list: [2; 4], index: 3 },
        not_before: 4,
        not_after: 5,
        number: 6,
    };
    let keys = ScopeKeys::derive(&AwsLc, key, context);
    let (handle, tap_key) = keys.seal(&AwsLc, &content, [9; 12]);
    (context, handle, tap_key)
}

/// The key of an epoch opens handles from when it is in use until it is forgotten.
#[test]
fn handles_open_inside_by_the_keys_that_are_in_use() {
    let folder = Place::empty();
    let mut element = SoftwareElement::create(&folder.path, Suite::P256).unwrap();
    let reader = ReaderId::from_bytes(READER);
    let (context, handle, tap_key) = handle(10, &KEY);
    let no_key = |element: &SoftwareElement, context| {
        matches!(element.open(context, &handle), Err(OpenError::NoKey))
    };
    let sent = delivery(element.recipient(), self::context(10), &KEY);
    element.unwrap(&sent).unwrap();
    assert!(no_key(&element, context), "it is aside, and not in use");
    let mut element = SoftwareElement::open(&folder.path).unwrap().unwrap();
    take(&mut element, reader, &[sent.encode()]).unwrap();
    let again = SoftwareElement::open(&folder.path).unwrap().unwrap();
    for element in [&element, &again] {
        let (content, opened) = element.open(context, &handle).unwrap();
        assert_eq!((content.number, opened.danger_bytes()), (6, tap_key.danger_bytes()));
        assert!(no_key(element, express::Context { epoch: 11, ..context }));
        let scope = express::ScopeId([0; 8]);
        assert!(no_key(element, express::Context { scope, ..context }));
    }
    let (_, forged, _) = self::handle(10, &[1; 32]);
    let sealed = element.open(context, &forged).map(drop);
    assert_eq!(sealed, Err(OpenError::Handle(HandleError::Sealed)));
    // Three epochs later the key is gone.
    let later = delivery(element.recipient(), self::context(13), &KEY);
    take(&mut element, reader, &[later.encode()]).unwrap();
    assert!(no_key(&element, context));
}

#[test]
fn what_is_not_for_this_element_does_not_open() {
    let folder = Place::empty();
    let (own, other) = (folder.path.join("own"), folder.path.join("other"));
    fs::create_dir(&own).unwrap();
    fs::create_dir(&other).unwrap();
    let mut element = SoftwareElement::create(&own, Suite::P256MlKem768).unwrap();
    let stranger = SoftwareElement::create(&other, Suite::P256MlKem768).unwrap();
    let plain = Recipient::new(*element.recipient().p256(), None).unwrap();
    let good = delivery(element.recipient(), context(10), &KEY);
    let sealed = ElementError::Delivery(DeliveryError::Sealed);
    let foreign = delivery(stranger.recipient(), context(10), &KEY);
    assert_eq!(element.unwrap(&foreign), Err(sealed.clone()));
    let downgraded = delivery(&plain, context(10), &KEY);
    assert_eq!(element.unwrap(&downgraded), Err(ElementError::Delivery(DeliveryError::Suite)));
    let other_key = delivery(element.recipient(), context(10), &[1; 32]);
    assert_eq!(element.unwrap(&other_key), Err(ElementError::CheckValue));
    let mut off = good.clone();
    off.ephemeral[64] ^= 1;
    assert_eq!(element.unwrap(&off), Err(ElementError::Delivery(DeliveryError::Key("P-256"))));
    let mut identity = good.clone();
    identity.ephemeral = [0; 65];
    let refused = element.unwrap(&identity);
    assert_eq!(refused, Err(ElementError::Delivery(DeliveryError::Key("P-256"))));
    let mut ciphertext = good.clone();
    ciphertext.encapsulated.as_mut().unwrap()[0] ^= 1;
    assert_eq!(element.unwrap(&ciphertext), Err(sealed));
    assert_eq!(element.unwrap(&good), Ok(()));
}

#[test]
fn the_file_is_its_owners_alone_and_every_change_is_noticed() {
    let folder = Place::empty();
    assert!(SoftwareElement::open(&folder.path).unwrap().is_none());
    SoftwareElement::create(&folder.path, Suite::P256).unwrap();
    assert!(SoftwareElement::create(&folder.path, Suite::P256).is_err());
    let path = folder.path.join(FILE);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = SoftwareElement::open(&folder.path).unwrap_err().to_string();
    assert!(error.contains("chmod 600"), "{error}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let whole = fs::read(&path).unwrap();
    for position in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(SoftwareElement::open(&folder.path).is_err(), "byte {position}");
    }
}

/// The bundle is stored, then the power fails before the keys in it are: they are taken at the start.
#[test]
fn a_reader_takes_the_keys_of_its_bundle_also_after_a_loss_of_power_between() {
    let city = City::new();
    let place = Place::ready(&city);
    let mut host = place.reader();
    host.make_element(Suite::P256).unwrap();
    let statement = host.delivery_keys().unwrap().unwrap();
    let key = PublicKey::P256(AwsLc.p256_public(&city.identity().1).unwrap());
    assert_eq!(statement.verify_by(&AwsLc, &key).unwrap().identity(), CITY_READER.as_bytes());
    let context = Context { recipient: *CITY_READER.as_bytes(), ..context(10) };
    let sent = delivery(host.element().unwrap().recipient(), context, &KEY).encode();
    host.install_bundle(noon(), &city.bundle_with(2, vec![sent, vec![0]])).unwrap();
    assert_eq!(host.element().unwrap().held().len(), 0);
    drop(host);
    let mut host = place.reader();
    assert_eq!(host.element().unwrap().held().len(), 1);
    // What was refused is told, and the bundle counts all the same.
    let told: Vec<_> = host.disbelieved().iter().map(|rejection| rejection.code).collect();
    assert_eq!(told, ["delivery-form"]);
    assert_eq!(host.engine().watermark().bundle_epoch, 2);
    assert_eq!(host.take_keys().unwrap().known, 1);
}

/// Without room for the keys the bundle counts, and the keys before are in use.
#[test]
fn keys_that_cannot_be_stored_leave_those_before() {
    let folder = Place::empty();
    let mut element = SoftwareElement::create(&folder.path, Suite::P256).unwrap();
    let reader = ReaderId::from_bytes(READER);
    let first = delivery(element.recipient(), context(10), &KEY);
    take(&mut element, reader, &[first.encode()]).unwrap();
    // The next content of the file cannot be written: a folder stands in its way.
    fs::create_dir(folder.path.join(".element.new")).unwrap();
    let second = delivery(element.recipient(), context(11), &KEY);
    let failed = take(&mut element, reader, &[second.encode()]);
    assert_eq!(failed, Err(ElementError::Storage));
    assert_eq!(element.held(), [Held::of(&first)]);
    fs::remove_dir(folder.path.join(".element.new")).unwrap();
    let taken = take(&mut element, reader, &[second.encode()]).unwrap();
    assert_eq!(taken.installed, [Held::of(&second)]);
    let again = SoftwareElement::open(&folder.path).unwrap().unwrap();
    assert_eq!(again.held().len(), 2);
}
