//! Figures as people read them: grouped digits, times with their unit, time on a wire.

/// An integer in groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes, with the noun.
pub(super) fn bytes(count: u64) -> String {
    format!("{} {}", grouped(count), if count == 1 { "byte" } else { "bytes" })
}

/// A number of things: `noun` is the singular, the plural takes an s.
pub(super) fn count(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A time in microseconds as milliseconds, with one decimal below a hundred.
pub(super) fn milliseconds(micros: u64) -> String {
    let tenths = micros.saturating_add(50) / 100;
    if tenths < 1_000 {
        return format!("{}.{} ms", tenths / 10, tenths % 10);
    }
    format!("{} ms", grouped(micros.saturating_add(500) / 1_000))
}

/// Microseconds that so many bytes take at so many thousand bits per second, nothing around them.
pub(super) const fn wire_micros(bytes: u64, kilobits_per_second: u64) -> u64 {
    bytes.saturating_mul(8_000) / kilobits_per_second
}

/// A length as a figure.
pub(super) fn length<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        let grouped = [0, 999, 1_000, 65_536, 1_234_567].map(grouped);
        assert_eq!(grouped, ["0", "999", "1,000", "65,536", "1,234,567"]);
    }

    #[test]
    fn times_have_one_decimal_while_it_matters() {
        let times = [0, 949, 7_128, 99_949, 99_950, 1_290_326].map(milliseconds);
        assert_eq!(times, ["0.0 ms", "0.9 ms", "7.1 ms", "99.9 ms", "100 ms", "1,290 ms"]);
    }

    #[test]
    fn a_wire_takes_eight_bits_per_byte() {
        assert_eq!(wire_micros(1_060, 106), 80_000);
        assert_eq!(wire_micros(1_060, 424), 20_000);
        assert_eq!(wire_micros(0, 106), 0);
    }

    #[test]
    fn one_is_no_plural() {
        assert_eq!((bytes(1), bytes(2)), ("1 byte".into(), "2 bytes".into()));
        assert_eq!((count(1, "tap"), count(0, "tap")), ("1 tap".into(), "0 taps".into()));
    }
}
