//! Signing: the right key for an object, asked of the custodian; no key ever comes here.

use std::fmt;
use std::pin::Pin;
use std::task::Poll;

use credential::unsigned::Unsigned;
use credential::x509::Certificate;
use keys::custody::{Custody, Key, SignError, State};
use keys::object::{TypedObject, WrongTypeError};
use keys::purpose::Purpose;
use vocabulary::code::OperatorCode;
use vocabulary::time::Instant;

/// The newest active key of `purpose` whose certificate is in force at `now`.
///
/// # Errors
/// [`SignFault::NoKey`].
pub(crate) fn certified(
    custody: &dyn Custody,
    purpose: Purpose,
    operator: Option<&OperatorCode>,
    now: Instant,
) -> Result<(Key, std::sync::Arc<[u8]>), SignFault> {
    let keys = custody.keys();
    let of_purpose = keys.iter().rev();
    let of_purpose = of_purpose.filter(|key| {
        key.purpose == purpose && key.operator.as_ref() == operator && key.state == State::Active
    });
    let mut found = of_purpose.filter_map(|key| {
        let certificate = key.certificate.clone().filter(|der| is_in_force(der, now))?;
        Some((key.clone(), certificate))
    });
    let ended = || {
        let ends = keys.iter().filter(|key| {
            key.purpose == purpose
                && key.operator.as_ref() == operator
                && key.state == State::Active
        });
        let ends = ends.filter_map(|key| Certificate::parse(key.certificate.as_deref()?).ok());
        ends.map(|it| it.not_after).max().filter(|end| *end < now)
    };
    found.next().ok_or_else(|| match ended() {
        Some(ended) => SignFault::Ended { purpose, operator: operator.cloned(), ended },
        None => SignFault::NoKey { purpose },
    })
}

/// Whether the certificate `der` is in force at `at`.
pub(crate) fn is_in_force(der: &[u8], at: Instant) -> bool {
    Certificate::parse(der).is_ok_and(|certificate| certificate.is_current(at))
}

/// Completes `unsigned` with a signature by `key`.
///
/// # Errors
/// [`SignFault`] when the bytes are not what the key signs, or the custodian does not sign.
pub(crate) async fn sign<T>(
    custody: &dyn Custody,
    key: &Key,
    unsigned: Unsigned<T>,
) -> Result<T, SignFault> {
    let object = TypedObject::parse(key.purpose.object_type(), unsigned.to_be_signed());
    let object = object.map_err(SignFault::Type)?;
    let signature = custody.sign(&key.handle, &object).await.map_err(SignFault::Custody)?;
    Ok(unsigned.complete(&signature))
}

/// Completes all of `unsigned`, which are on their way to the custodian at the same time.
///
/// # Errors
/// [`SignFault`] of the first that fails.
pub(crate) async fn sign_all<T>(
    custody: &dyn Custody,
    key: &Key,
    unsigned: Vec<Unsigned<T>>,
) -> Result<Vec<T>, SignFault> {
    let signing = unsigned.into_iter().map(|it| Signing::Waiting(Box::pin(sign(custody, key, it))));
    let mut all: Vec<Signing<'_, T>> = signing.collect();
    std::future::poll_fn(|context| {
        let mut is_ready = true;
        for one in &mut all {
            if let Signing::Waiting(waiting) = one {
                match waiting.as_mut().poll(context) {
                    Poll::Ready(Ok(signed)) => *one = Signing::Signed(signed),
                    Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
                    Poll::Pending => is_ready = false,
                }
            }
        }
        if is_ready { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await?;
    Ok(all.into_iter().filter_map(Signing::signed).collect())
}

enum Signing<'a, T> {
    Waiting(Pin<Box<dyn Future<Output = Result<T, SignFault>> + Send + 'a>>),
    Signed(T),
}

impl<T> Signing<'_, T> {
    fn signed(self) -> Option<T> {
        match self {
            Self::Signed(signed) => Some(signed),
            Self::Waiting(_) => None,
        }
    }
}

/// Why nothing was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SignFault {
    /// There is no key of this purpose with a certificate in force.
    NoKey {
        /// What it would sign.
        purpose: Purpose,
    },
    /// The certificate of the newest key of this purpose has ended.
    Ended {
        /// What it would sign.
        purpose: Purpose,
        /// Whose it is.
        operator: Option<OperatorCode>,
        /// When.
        ended: Instant,
    },
    /// The bytes are not of the type that the key signs.
    Type(WrongTypeError),
    /// The custodian did not sign.
    Custody(SignError),
}

impl fmt::Display for SignFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey { purpose } => {
                write!(f, "sign: no key for `{purpose}` with a certificate in force")
            }
            Self::Ended { purpose, operator, ended } => {
                write!(f, "sign: the certificate for `{purpose}`")?;
                operator.iter().try_for_each(|operator| write!(f, " of `{operator}`"))?;
                write!(
                    f,
                    " ended at {ended}; renew it with `{}`",
                    renewal(*purpose, operator.as_ref())
                )
            }
            Self::Type(_) => f.write_str("sign: the object is not what the key signs"),
            Self::Custody(_) => f.write_str("sign: the custodian did not sign"),
        }
    }
}

/// The command that renews the key of a purpose, at the machine that holds what is above it.
pub(crate) fn renewal(purpose: Purpose, operator: Option<&OperatorCode>) -> String {
    let operator = operator.map(|operator| format!(" --operator {operator}")).unwrap_or_default();
    let level = match purpose {
        Purpose::CityRoot => "root",
        // Its signers end with the authority, and follow by themselves once that is renewed.
        Purpose::DocumentSignerMdoc | Purpose::DocumentSignerSdJwt | Purpose::IssuingAuthority => {
            "issuing-authority"
        }
        other => other.as_str(),
    };
    format!("limen key rotate {level}{operator}")
}

impl std::error::Error for SignFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoKey { .. } | Self::Ended { .. } => None,
            Self::Type(source) => Some(source),
            Self::Custody(source) => Some(source),
        }
    }
}
