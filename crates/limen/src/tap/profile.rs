//! What a tap by one profile costs. A benchmark of `conformance` includes this folder's measurements.

/// The figures of one profile.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// Its name on the command line.
    pub(crate) profile: &'static str,
    /// Commands of a tap, SELECT counted.
    pub(crate) apdus: usize,
    /// Bytes of all commands and answers, SELECT counted.
    pub(crate) bytes_on_air: usize,
    /// Processor time of the reader, microseconds.
    pub(crate) reader_us: f64,
    /// Processor time of the holder.
    pub(crate) wallet_us: f64,
    /// The cryptography that the reader cannot do without, straight in the library.
    pub(crate) bare_us: f64,
    /// Median over all rounds of the reader's time to the bare one.
    pub(crate) reader_ratio: f64,
}

/// Microseconds that bytes take on the air at so many kilobit a second: 9 bits a byte, with its parity (ISO/IEC 14443-3).
/// Frames, their checksums and the time between them are not counted.
pub(crate) fn air_us(bytes: usize, kilobit: u32) -> f64 {
    let bytes = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
    bytes * 9.0 * 1_000.0 / f64::from(kilobit)
}
