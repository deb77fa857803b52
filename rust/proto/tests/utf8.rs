//! The incremental UTF-8 check against the one of the standard library.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use dscore_proto::utf8::{InvalidUtf8, Utf8Decoder};
use proptest::prelude::*;

/// Decodes `bytes` in parts; the text, or how many parts were taken when it was refused.
fn decode<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Result<(String, usize), usize> {
    let (mut decoder, mut text) = (Utf8Decoder::default(), String::new());
    for (index, part) in parts.into_iter().enumerate() {
        if decoder.decode(part, &mut text) == Err(InvalidUtf8) {
            return Err(index);
        }
    }
    Ok((text, decoder.pending_len()))
}

/// The index of the first byte that makes `bytes` invalid whatever may follow.
fn first_fatal_byte(bytes: &[u8]) -> Option<usize> {
    (0..bytes.len()).find(|&index| {
        std::str::from_utf8(&bytes[..=index]).is_err_and(|error| error.error_len().is_some())
    })
}

#[test]
fn fails_at_the_first_byte_that_cannot_be_saved() {
    for (bytes, fatal) in [
        // "κόσμε", then a code point above U+10FFFF: refused at its second byte.
        (&b"\xce\xba\xe1\xbd\xb9\xf4\x90\x80\x80"[..], 6),
        // A surrogate: refused at its second byte.
        (b"\xed\xa0\x80", 1),
        // Overlong forms of "/".
        (b"\xc0\xaf", 0),
        (b"\xe0\x80\xaf", 1),
        (b"\xf0\x80\x80\xaf", 1),
        // Bytes that stand nowhere, a stray continuation, a character cut short.
        (b"ok\xff", 2),
        (b"\xf5\x80", 0),
        (b"a\x80", 1),
        (b"\xe2\x82a", 2),
    ] {
        assert_eq!(first_fatal_byte(bytes), Some(fatal));
        assert_eq!(decode(bytes.chunks(1)), Err(fatal), "{bytes:x?}");
    }
}

#[test]
fn an_unfinished_character_is_kept_back() {
    for (bytes, text, pending) in [
        (&b"caf\xc3"[..], "caf", 1),
        (b"\xe2\x82", "", 2),
        (b"a\xf0\x9f\x98", "a", 3),
    ] {
        assert_eq!(decode([bytes]), Ok((text.to_owned(), pending)));
        assert_eq!(decode(bytes.chunks(1)), Ok((text.to_owned(), pending)));
    }
}

#[test]
fn every_character_survives_every_cut() {
    for text in [
        "é",
        "€",
        "😀",
        "\u{10ffff}",
        "\u{d7ff}",
        "\u{e000}",
        "한글 텍스트",
        "aé€😀z",
    ] {
        for cut in 0..=text.len() {
            let (head, tail) = text.as_bytes().split_at(cut);
            assert_eq!(decode([head, tail]), Ok((text.to_owned(), 0)));
        }
    }
}

/// Bytes that are mostly text, so that the interesting borders are reached.
fn almost_text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => "\\PC{0,40}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..4),
        1 => prop::sample::select(vec![&b"\xf4\x8f"[..], b"\xe0\xa0", b"\xc2", b"\xed\x9f"])
            .prop_map(<[u8]>::to_vec),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn equals_the_standard_library_under_any_split(bytes in almost_text(), size in 1..70_usize) {
        let result = decode(bytes.chunks(size));
        match first_fatal_byte(&bytes) {
            Some(fatal) => prop_assert_eq!(result, Err(fatal / size)),
            None => {
                let (text, pending) = result.unwrap();
                let valid = bytes.len() - pending;
                prop_assert_eq!(text.as_bytes(), &bytes[..valid]);
                prop_assert_eq!(pending == 0, std::str::from_utf8(&bytes).is_ok());
            }
        }
    }
}
