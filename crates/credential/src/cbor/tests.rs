//! CBOR reader and writer against RFC 8949 appendix A, their limits, and arbitrary bytes.

use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

use super::*;

fn check_refused(bytes: &[u8], fault: Fault) {
    assert_eq!(Decoder::new(bytes).unwrap_err().fault, fault, "{bytes:02x?}");
}

#[test]
fn integers_of_rfc_8949_appendix_a_decode_and_encode() {
    for (bytes, value) in [
        (&[0x00][..], 0),
        (&[0x17], 23),
        (&[0x18, 0x18], 24),
        (&[0x19, 0x03, 0xe8], 1000),
        (&[0x1b, 0, 0, 0, 0xe8, 0xd4, 0xa5, 0x10, 0], 1_000_000_000_000),
        (&[0x20], -1),
        (&[0x38, 0x63], -100),
        (&[0x39, 0x03, 0xe7], -1000),
    ] {
        assert_eq!(Decoder::new(bytes).unwrap().integer(), Ok(value));
        let mut encoder = Encoder::new();
        encoder.integer(value);
        assert_eq!(encoder.into_bytes(), bytes);
    }
}

#[test]
fn integer_past_64_bits_with_sign_is_out_of_range() {
    let bytes = [0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(Decoder::new(&bytes).unwrap().integer().unwrap_err().fault, Fault::Range);
}

#[test]
fn floats_of_rfc_8949_appendix_a_decode() {
    for (bytes, value) in [
        (&[0xf9, 0x3e, 0x00][..], 1.5),
        (&[0xf9, 0x7b, 0xff], 65504.0),
        (&[0xf9, 0x00, 0x01], 5.960_464_477_539_063e-8),
        (&[0xf9, 0xc4, 0x00], -4.0),
        (&[0xfa, 0x47, 0xc3, 0x50, 0x00], 100_000.0),
        (&[0xfb, 0x3f, 0xf1, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a], 1.1),
    ] {
        assert_eq!(Decoder::new(bytes).unwrap().float(), Ok(value));
    }
}

#[test]
fn malformed_input_is_refused() {
    check_refused(&[], Fault::Truncated);
    check_refused(&[0x18], Fault::Truncated);
    check_refused(&[0x62, b'a'], Fault::Truncated);
    check_refused(&[0x00, 0x00], Fault::Trailing);
    check_refused(&[0x1c], Fault::Reserved);
    check_refused(&[0xf8, 0x18], Fault::Reserved);
    check_refused(&[0xff], Fault::OpenLength);
    check_refused(&[0x9f, 0xff], Fault::OpenLength);
    check_refused(&[0x5f, 0x41, 0, 0xff], Fault::OpenLength);
    check_refused(&[0x61, 0xff], Fault::Utf8);
    check_refused(&[0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Fault::Truncated);
}

#[test]
fn duplicate_key_is_refused_however_its_header_is_written() {
    check_refused(&[0xa2, 0x01, 0x00, 0x01, 0x00], Fault::DuplicateKey);
    check_refused(&[0xa2, 0x01, 0x00, 0x18, 0x01, 0x00], Fault::DuplicateKey);
    check_refused(&[0xa2, 0x61, b'a', 0, 0x78, 0x01, b'a', 0], Fault::DuplicateKey);
    assert!(Decoder::new(&[0xa2, 0x01, 0x00, 0x20, 0x00]).is_ok());
}

#[test]
fn duplicate_key_is_refused_in_a_map_of_any_size() {
    for size in [24_u64, 25, 26, 300] {
        for twin in [0, size / 2, size - 2] {
            let mut encoder = Encoder::new();
            encoder.map(usize::try_from(size).unwrap());
            for key in 0..size - 1 {
                encoder.unsigned(key).null();
            }
            let mut control = encoder.clone();
            encoder.unsigned(twin).null();
            control.unsigned(size).null();
            check_refused(encoder.as_bytes(), Fault::DuplicateKey);
            assert!(Decoder::new(control.as_bytes()).is_ok());
        }
    }
}

#[test]
fn header_longer_than_needed_is_accepted() {
    assert_eq!(Decoder::new(&[0x1b, 0, 0, 0, 0, 0, 0, 0, 5]).unwrap().unsigned(), Ok(5));
    assert_eq!(Decoder::new(&[0x79, 0, 1, b'a']).unwrap().text(), Ok("a"));
}

#[test]
fn depth_is_refused_one_past_the_limit() {
    let nested = |depth: usize| {
        let mut bytes = vec![0x81; depth - 1];
        bytes.push(0);
        bytes
    };
    assert!(Decoder::new(&nested(DEPTH_MAX)).is_ok());
    check_refused(&nested(DEPTH_MAX + 1), Fault::Depth);
    check_refused(&nested(1_000_000), Fault::Depth);
}

#[test]
fn items_are_refused_one_past_the_limit() {
    let array = |entries: usize| {
        let mut encoder = Encoder::new();
        encoder.array(entries).raw(&vec![0; entries]);
        encoder.into_bytes()
    };
    assert!(Decoder::new(&array(ITEMS_MAX - 1)).is_ok());
    check_refused(&array(ITEMS_MAX), Fault::Items);
}

#[test]
fn open_containers_are_read_where_they_are_allowed() {
    let bytes = [0xbf, 0x61, b'a', 0x9f, 0x01, 0x9f, 0xff, 0xff, 0xff];
    let mut decoder = Decoder::with_lengths(&bytes, Lengths::OpenContainers).unwrap();
    let mut entries = decoder.map().unwrap();
    assert!(decoder.more(&mut entries).unwrap());
    assert_eq!(decoder.text(), Ok("a"));
    assert_eq!(decoder.raw(), Ok(&bytes[3..8]));
    assert!(!decoder.more(&mut entries).unwrap());
    decoder.finish().unwrap();
}

#[test]
fn embedded_item_keeps_its_raw_bytes() {
    let mut encoder = Encoder::new();
    encoder.embedded(&[0x01]);
    let mut decoder = Decoder::new(encoder.as_bytes()).unwrap();
    let embedded = decoder.embedded().unwrap();
    assert_eq!((embedded.raw, embedded.inner), (&[0xd8, 0x18, 0x41, 0x01][..], &[0x01][..]));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        for lengths in [Lengths::Definite, Lengths::OpenContainers] {
            if let Ok(mut decoder) = Decoder::with_lengths(&bytes, lengths) {
                prop_assert_eq!(decoder.raw().unwrap(), &bytes[..]);
                decoder.finish().unwrap();
            }
        }
        let mut decoder = Decoder { bytes: &bytes, position: 0 };
        let _ = decoder.clone().integer();
        let _ = decoder.clone().bytes();
        let _ = decoder.clone().text();
        let _ = decoder.clone().embedded();
        let _ = decoder.float();
    }

    #[test]
    fn what_is_written_reads_back(number: i64, bytes: Vec<u8>, text: alloc::string::String, flag: bool) {
        let mut encoder = Encoder::new();
        encoder.array(4).integer(number).bytes(&bytes).text(&text).bool(flag);
        let mut decoder = Decoder::new(encoder.as_bytes()).unwrap();
        decoder.array_of(4).unwrap();
        prop_assert_eq!(decoder.integer(), Ok(number));
        prop_assert_eq!(decoder.bytes(), Ok(&bytes[..]));
        prop_assert_eq!(decoder.text(), Ok(&text[..]));
        prop_assert_eq!(decoder.bool(), Ok(flag));
        decoder.finish().unwrap();
    }
}
