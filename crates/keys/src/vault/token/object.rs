//! Objects of the token: templates of the classes of keys, agreement, derivation, wrapping.

use core::cell::RefCell;
use core::num::NonZeroUsize;

use credential::delivery::schedule::Inner;
use credential::delivery::{Kcv, POINT_BYTES};
use cryptoki::error::Error;
use cryptoki::mechanism::ekdf::AesCbcDeriveParams;
use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
use cryptoki::mechanism::kbkdf::{
    Endianness, KbkdfCounterFormat, KbkdfParams, PrfDataParam, PrfDataParamType,
};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use zeroize::Zeroizing;

use super::label;
use crate::vault::cipher::CardCipher;
use crate::vault::diversify::{CardInput, Kdf, Parts, parts};
use crate::vault::error::CipherFault;
use crate::vault::{Bytes, Secret, SecretHandle, SecretKind};

/// OBJECT IDENTIFIER of P-256, DER.
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const COUNTER_BITS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(7);

/// An answer of the token that has another form than PKCS#11 gives it.
pub(super) type Fault = Error;

/// A session object that is destroyed after its use.
pub(super) struct Temporary<'s> {
    session: &'s Session,
    handle: ObjectHandle,
}

impl<'s> Temporary<'s> {
    fn new(session: &'s Session, handle: ObjectHandle) -> Self {
        Self { session, handle }
    }

    pub(super) const fn handle(&self) -> ObjectHandle {
        self.handle
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        // It goes with the session at the latest.
        let _ = self.session.destroy_object(self.handle);
    }
}

/// The usages of a kind: what is not named here is false.
fn usages(secret: &Secret) -> [bool; 7] {
    let (mut encrypt, mut derive, mut wrap) = (false, false, false);
    match (secret.kind, secret.kdf) {
        (SecretKind::CardMaster, Some(Kdf::An10922CbcFallback)) => (encrypt, derive) = (true, true),
        (SecretKind::CardMaster, _) => derive = true,
        (SecretKind::Wrapping, _) => wrap = true,
        (SecretKind::Epoch | SecretKind::Zone | SecretKind::Transport, _) => {}
    }
    // A wrapping key must also unwrap what comes back from a custodian.
    [encrypt, false, false, false, wrap, wrap, derive]
}

const NAMES: [&str; 7] = [
    "CKA_ENCRYPT",
    "CKA_DECRYPT",
    "CKA_SIGN",
    "CKA_VERIFY",
    "CKA_WRAP",
    "CKA_UNWRAP",
    "CKA_DERIVE",
];

fn usage_attributes(
    [encrypt, decrypt, sign, verify, wrap, unwrap, derive]: [bool; 7],
) -> Vec<Attribute> {
    vec![
        Attribute::Encrypt(encrypt),
        Attribute::Decrypt(decrypt),
        Attribute::Sign(sign),
        Attribute::Verify(verify),
        Attribute::Wrap(wrap),
        Attribute::Unwrap(unwrap),
        Attribute::Derive(derive),
    ]
}

/// Only keys that readers or custodians get can leave, and only wrapped.
const fn is_extractable(kind: SecretKind) -> bool {
    matches!(kind, SecretKind::Epoch | SecretKind::Zone | SecretKind::Transport)
}

fn stored(secret: &Secret) -> Vec<Attribute> {
    let mut template = usage_attributes(usages(secret));
    template.extend([
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Id(secret.handle.as_bytes().to_vec()),
        Attribute::Label(label::write(secret).into_bytes()),
    ]);
    template
}

/// Makes the key as a session object that may also sign, takes its check value, and copies it to the
/// token without that right.
pub(super) fn generate(session: &Session, mut secret: Secret) -> Result<Secret, Fault> {
    let bytes = u64::try_from(secret.kind.key_bytes()).unwrap_or(0);
    let [encrypt, decrypt, _, verify, wrap, unwrap, derive] = usages(&secret);
    let mut template = usage_attributes([encrypt, decrypt, true, verify, wrap, unwrap, derive]);
    template.extend([
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(is_extractable(secret.kind)),
        Attribute::ValueLen(bytes.into()),
    ]);
    let made = Temporary::new(session, session.generate_key(&Mechanism::AesKeyGen, &template)?);
    let mac = session.sign(&Mechanism::AesCMac, made.handle(), &[0; 16])?;
    secret.kcv = Kcv::of_mac(&mac.try_into().map_err(|_| Error::InvalidValue)?);
    session.copy_object(made.handle(), &stored(&secret))?;
    Ok(secret)
}

/// Puts a key of known value on the token.
pub(super) fn import(session: &Session, secret: &Secret, key: &[u8]) -> Result<(), Fault> {
    let mut template = stored(secret);
    template.extend([
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Sensitive(true),
        Attribute::Extractable(is_extractable(secret.kind)),
        Attribute::Value(key.to_vec()),
    ]);
    session.create_object(&template).map(drop)
}

pub(super) fn find(
    session: &Session,
    handle: &SecretHandle,
) -> Result<Option<ObjectHandle>, Fault> {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::Token(true),
        Attribute::Id(handle.as_bytes().to_vec()),
    ];
    Ok(session.find_objects(&template)?.first().copied())
}

/// A label, and which usage is wider than that of the secret that it describes.
type Listed = (Option<String>, Box<dyn Fn(&Secret) -> Option<&'static str>>);

pub(super) fn list(session: &Session) -> Result<Vec<Listed>, Fault> {
    let template = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Token(true)];
    session.find_objects(&template)?.into_iter().map(|object| describe(session, object)).collect()
}

fn describe(session: &Session, object: ObjectHandle) -> Result<Listed, Fault> {
    let asked = [
        AttributeType::Label,
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::Encrypt,
        AttributeType::Decrypt,
        AttributeType::Sign,
        AttributeType::Verify,
        AttributeType::Wrap,
        AttributeType::Unwrap,
        AttributeType::Derive,
    ];
    let mut text = None;
    let (mut sensitive, mut extractable, mut has) = (false, true, [true; 7]);
    for attribute in session.get_attributes(object, &asked)? {
        let [encrypt, decrypt, sign, verify, wrap, unwrap, derive] = &mut has;
        match attribute {
            Attribute::Label(bytes) => text = String::from_utf8(bytes).ok(),
            Attribute::Sensitive(is) => sensitive = is,
            Attribute::Extractable(is) => extractable = is,
            Attribute::Encrypt(is) => *encrypt = is,
            Attribute::Decrypt(is) => *decrypt = is,
            Attribute::Sign(is) => *sign = is,
            Attribute::Verify(is) => *verify = is,
            Attribute::Wrap(is) => *wrap = is,
            Attribute::Unwrap(is) => *unwrap = is,
            Attribute::Derive(is) => *derive = is,
            _ => {}
        }
    }
    let wide = move |secret: &Secret| {
        if !sensitive {
            return Some("CKA_SENSITIVE false");
        }
        if extractable && !is_extractable(secret.kind) {
            return Some("CKA_EXTRACTABLE");
        }
        let allowed = usages(secret);
        let mut usages = NAMES.into_iter().zip(has.into_iter().zip(allowed));
        usages.find(|(_, (has, allowed))| *has && !allowed).map(|(name, _)| name)
    };
    Ok((text, Box::new(wide)))
}

/// Wraps `key` for the holder of `point`: an ephemeral key pair, an agreement, RFC 3394; of these only
/// the ephemeral point and the wrapped key leave.
pub(super) fn wrap(
    session: &Session,
    key: ObjectHandle,
    point: &[u8; POINT_BYTES],
) -> Result<Inner, Fault> {
    let public = [Attribute::Token(false), Attribute::EcParams(P256.to_vec())];
    let private = [
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(false),
        Attribute::Derive(true),
    ];
    let (public, private) =
        session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)?;
    let (public, private) = (Temporary::new(session, public), Temporary::new(session, private));
    let ephemeral = read_point(session, public.handle())?;
    let mut template = usage_attributes([false, false, false, false, true, false, false]);
    template.extend(agreed(32, false));
    let agree = Mechanism::Ecdh1Derive(Ecdh1DeriveParams::new(EcKdf::null(), point));
    let kek = session.derive_key(&agree, private.handle(), &template)?;
    let kek = Temporary::new(session, kek);
    let wrapped = session.wrap_key(&Mechanism::AesKeyWrap, kek.handle(), key)?;
    Ok(Inner { ephemeral, wrapped })
}

fn read_point(session: &Session, public: ObjectHandle) -> Result<[u8; POINT_BYTES], Fault> {
    let attributes = session.get_attributes(public, &[AttributeType::EcPoint])?;
    let Some(Attribute::EcPoint(der)) = attributes.into_iter().next() else {
        return Err(Error::InvalidValue);
    };
    // An OCTET STRING around the uncompressed point; some tokens leave it out.
    let point = der.strip_prefix(&[0x04, 0x41]).unwrap_or(&der);
    point.try_into().map_err(|_| Error::InvalidValue)
}

fn agreed(bytes: u64, extractable: bool) -> [Attribute; 7] {
    [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::ValueLen(bytes.into()),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(extractable),
    ]
}

/// A card key that works here and cannot leave.
pub(super) fn card_key() -> Vec<Attribute> {
    let mut template = usage_attributes([true, true, true, false, false, false, false]);
    template.extend(agreed(16, false));
    template
}

/// A card key that does nothing and can leave wrapped, for personalisation.
pub(super) fn card_key_to_wrap() -> Vec<Attribute> {
    let mut template = usage_attributes([false; 7]);
    template.extend(agreed(16, true));
    template
}

/// The key of `card` as a session object.
pub(super) fn derive<'s>(
    session: &'s Session,
    master: ObjectHandle,
    kdf: Kdf,
    card: &CardInput,
    template: &[Attribute],
) -> Result<Temporary<'s>, Fault> {
    let handle = match kdf {
        Kdf::Sp800108Cmac => {
            let counter = KbkdfCounterFormat::new(Endianness::Big, COUNTER_BITS);
            let fields = [
                PrfDataParam::new(PrfDataParamType::IterationVariable(Some(&counter))),
                PrfDataParam::new(PrfDataParamType::ByteArray(card.as_bytes())),
            ];
            let params = KbkdfParams::new(MechanismType::AES_CMAC, &fields, None);
            session.derive_key(&Mechanism::KbkdfCounter(params), master, template)?
        }
        Kdf::An10922CbcFallback => {
            let key = TokenKey::new(session, master);
            let taken = parts(card, |block| key.encrypt_block(block));
            let Ok(Parts { iv, data }) = taken else {
                return Err(key.fault().unwrap_or(Error::InvalidValue));
            };
            let params = AesCbcDeriveParams::new(iv, data.as_slice());
            session.derive_key(&Mechanism::AesCbcEncryptData(params), master, template)?
        }
    };
    Ok(Temporary::new(session, handle))
}

/// A key on the token, as the protocols of cards use one.
pub(super) struct TokenKey<'s> {
    session: &'s Session,
    handle: ObjectHandle,
    fault: RefCell<Option<Error>>,
}

impl<'s> TokenKey<'s> {
    pub(super) const fn new(session: &'s Session, handle: ObjectHandle) -> Self {
        Self { session, handle, fault: RefCell::new(None) }
    }

    /// What the token said when it failed, once.
    pub(super) fn fault(&self) -> Option<Error> {
        self.fault.take()
    }

    fn keep<T>(&self, answer: Result<T, Error>) -> Result<T, CipherFault> {
        answer.map_err(|error| {
            self.fault.replace(Some(error));
            CipherFault
        })
    }

    fn encrypt_block(&self, block: &[u8; 16]) -> Result<[u8; 16], CipherFault> {
        let answer = self.session.encrypt(&Mechanism::AesEcb, self.handle, block);
        self.keep(answer)?.try_into().map_err(|_| CipherFault)
    }
}

impl CardCipher for TokenKey<'_> {
    fn mac(&self, message: &[u8]) -> Result<[u8; 16], CipherFault> {
        let answer = self.session.sign(&Mechanism::AesCMac, self.handle, message);
        self.keep(answer)?.try_into().map_err(|_| CipherFault)
    }

    fn encrypt(&self, iv: &[u8; 16], data: &[u8]) -> Result<Bytes, CipherFault> {
        let answer = self.session.encrypt(&Mechanism::AesCbc(*iv), self.handle, data);
        self.keep(answer).map(Zeroizing::new)
    }

    fn decrypt(&self, iv: &[u8; 16], data: &[u8]) -> Result<Bytes, CipherFault> {
        let answer = self.session.decrypt(&Mechanism::AesCbc(*iv), self.handle, data);
        self.keep(answer).map(Zeroizing::new)
    }
}
