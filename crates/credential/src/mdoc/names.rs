//! Finds out cheaply that a name was not met before, so that lists of any length are searched for
//! repeated names in linear time and without a heap.

/// Bits of the filter: with all elements of the largest document, one in nine is set.
const BITS: usize = 8192;

/// A filter of names that were met.
pub(super) struct NameFilter([u64; BITS / 64]);

impl NameFilter {
    /// No name was met.
    pub(super) const fn new() -> Self {
        Self([0; BITS / 64])
    }

    /// Takes note of `name`. `false`: it was not met before. `true`: it may have been, look.
    pub(super) fn may_repeat(&mut self, name: &str) -> bool {
        // FNV-1a. Names are chosen by the issuer or holder, who can make them collide; that costs
        // a search through at most the elements of one document.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        // The last bytes of a name reach the middle of the hash only; names often differ there.
        let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let position = usize::try_from(mixed >> 51).unwrap_or(0) % BITS;
        let bit = 1 << (position % 64);
        let Some(word) = self.0.get_mut(position / 64) else { return true };
        let met = *word & bit != 0;
        *word |= bit;
        met
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_that_was_met_is_always_noticed() {
        let mut filter = NameFilter::new();
        let names: alloc::vec::Vec<_> =
            (0..2000).map(|n| alloc::format!("element_number_{n}")).collect();
        let noticed = names.iter().filter(|name| filter.may_repeat(name)).count();
        assert!(noticed < 300, "{noticed} of 2000 new names seem met");
        assert!(names.iter().all(|name| filter.may_repeat(name)));
    }
}
