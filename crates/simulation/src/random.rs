//! Numbers that follow from a seed, a label and an index, and from nothing else.

use credential::aws_lc::AwsLc;
use credential::crypto::Crypto;

/// A stream of numbers: SHA-256 over seed, label, index and a counter.
pub(crate) struct Stream {
    prefix: Vec<u8>,
    counter: u64,
    block: [u8; 32],
    used: usize,
}

impl Stream {
    pub(crate) fn new(seed: u64, label: &str, index: u64) -> Self {
        let mut prefix = seed.to_be_bytes().to_vec();
        prefix.extend_from_slice(&index.to_be_bytes());
        prefix.extend_from_slice(label.as_bytes());
        Self { prefix, counter: 0, block: [0; 32], used: 32 }
    }

    /// The next 32 bytes, for a key.
    pub(crate) fn block(&mut self) -> [u8; 32] {
        let mut message = self.prefix.clone();
        message.extend_from_slice(&self.counter.to_be_bytes());
        self.counter += 1;
        AwsLc.sha256(&message)
    }

    pub(crate) fn next(&mut self) -> u64 {
        if self.used + 8 > self.block.len() {
            self.block = self.block();
            self.used = 0;
        }
        let bytes = self.block.iter().skip(self.used).take(8);
        self.used += 8;
        bytes.fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    /// A number below `bound`, which is not zero; the bias is below 2^-40 for what is asked here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// A number from 0 to 1, 1 excluded.
    pub(crate) fn unit(&mut self) -> f64 {
        let bits = u32::try_from(self.next() >> 32).unwrap_or(0);
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }
}
