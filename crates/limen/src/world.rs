//! The clock and the generator of this machine.

use std::time::{SystemTime, UNIX_EPOCH};

use credential::aws_lc::AwsLc;
use credential::crypto::Crypto;
use vocabulary::time::Instant;

use crate::failure::{Failure, OrFail};

/// Now, by the clock of this machine.
pub(crate) fn now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::from_unix_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Fresh random bytes.
pub(crate) fn entropy<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).or_fail("the system gives no random bytes")?;
    Ok(bytes)
}

/// The SHA-256 of a certificate, in hexadecimal.
pub(crate) fn fingerprint(der: &[u8]) -> String {
    AwsLc.sha256(der).iter().map(|byte| format!("{byte:02x}")).collect()
}
