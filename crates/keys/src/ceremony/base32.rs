//! Text for paper: Crockford's Base32 in groups of five characters.
//!
//! The alphabet has no I, L, O and U. Reading is lenient as Crockford asks: lower case, O for 0, I and
//! L for 1; hyphens and white space between characters count for nothing.

/// Characters in a group.
const GROUP_CHARACTERS: usize = 5;
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Writes `bytes`, whose bits must be a multiple of five, without groups.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 8 / 5);
    let (mut held, mut bits) = (0_u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            let digit = usize::try_from(held >> bits & 31).unwrap_or_default();
            text.extend(ALPHABET.get(digit).copied().map(char::from));
        }
        held &= (1 << bits) - 1;
    }
    text
}

/// Writes `bytes` in groups, four groups to a line.
pub(super) fn groups(bytes: &[u8]) -> String {
    let text = encode(bytes);
    let mut grouped = String::with_capacity(text.len() * 6 / 5);
    for (position, character) in text.chars().enumerate() {
        match position {
            0 => {}
            _ if position % (4 * GROUP_CHARACTERS) == 0 => grouped.push('\n'),
            _ if position % GROUP_CHARACTERS == 0 => grouped.push('-'),
            _ => {}
        }
        grouped.push(character);
    }
    grouped
}

/// Reads `N` bytes. `Err` holds the position, in characters that count, of the first that is
/// none of the alphabet, or the count of characters where there are too few or too many.
pub(super) fn decode<const N: usize>(text: &str) -> Result<[u8; N], DecodeError> {
    let mut bytes = [0; N];
    let mut slots = bytes.iter_mut();
    let (mut held, mut bits, mut count) = (0_u32, 0, 0);
    for character in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
        count += 1;
        if count > N * 8 / 5 {
            continue;
        }
        let digit = digit(character).ok_or(DecodeError::Character { position: count })?;
        held = held << 5 | digit;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            if let (Some(slot), Ok(byte)) = (slots.next(), u8::try_from(held >> bits & 0xFF)) {
                *slot = byte;
            }
        }
        held &= (1 << bits) - 1;
    }
    if count == N * 8 / 5 { Ok(bytes) } else { Err(DecodeError::Length { found: count }) }
}

/// Why a text is not the bytes asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DecodeError {
    /// The character at this place, counted from one without hyphens and blanks, is none of ours.
    Character { position: usize },
    /// So many characters instead of those wanted.
    Length { found: usize },
}

fn digit(character: char) -> Option<u32> {
    let character = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let position = ALPHABET.iter().position(|known| char::from(*known) == character)?;
    u32::try_from(position).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_returns_to_its_bytes_however_it_is_typed() {
        let bytes: [u8; 50] = core::array::from_fn(|i| u8::try_from(i * 5).unwrap());
        let text = groups(&bytes);
        assert_eq!(text.lines().count(), 4);
        assert_eq!(decode::<50>(&text), Ok(bytes));
        let typed = text.to_lowercase().replace('0', "o").replace('1', "l").replace('-', " ");
        assert_eq!(decode::<50>(&typed), Ok(bytes));
    }

    #[test]
    fn what_is_no_text_of_that_length_is_told() {
        assert_eq!(decode::<5>("0000U000"), Err(DecodeError::Character { position: 5 }));
        assert_eq!(decode::<5>("0000000"), Err(DecodeError::Length { found: 7 }));
        assert_eq!(decode::<5>("000000000"), Err(DecodeError::Length { found: 9 }));
        assert_eq!(decode::<5>("ZZZZ-ZZZZ"), Ok([0xFF; 5]));
    }
}
