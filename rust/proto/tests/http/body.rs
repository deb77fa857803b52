//! Request bodies: every cell of the table, every split, every limit.

use dscore_proto::http::{
    BodyKind, BodyReader, HttpError, MAX_CHUNK_EXTENSIONS, MAX_TRAILERS, encode_chunk,
    encode_last_chunk,
};
use proptest::prelude::*;

/// The content of a body that arrives in these pieces, and what is left over.
fn read(
    kind: BodyKind,
    max: usize,
    pieces: &[&[u8]],
) -> Result<(Vec<u8>, Vec<u8>, bool), HttpError> {
    let mut reader = BodyReader::new(kind, max)?;
    let (mut content, mut rest) = (Vec::new(), Vec::new());
    for piece in pieces {
        let taken = reader.push(piece, &mut content)?;
        assert!(
            taken == piece.len() || reader.done(),
            "only a complete body leaves bytes"
        );
        rest.extend_from_slice(&piece[taken..]);
    }
    Ok((content, rest, reader.done()))
}

fn chunked(bytes: &[u8]) -> Result<Vec<u8>, HttpError> {
    let (content, _, _) = read(BodyKind::Chunked, 1000, &[bytes])?;
    Ok(content)
}

#[test]
fn is_done_at_once_without_content() {
    for kind in [BodyKind::None, BodyKind::Length(0)] {
        assert_eq!(
            read(kind, 0, &[b"GET"]),
            Ok((vec![], b"GET".to_vec(), true))
        );
    }
}

#[test]
fn takes_as_many_bytes_as_content_length_says() {
    let all = b"helloGET /next";
    for split in 0..=all.len() {
        let (first, second) = all.split_at(split);
        let expected = (b"hello".to_vec(), b"GET /next".to_vec(), true);
        assert_eq!(read(BodyKind::Length(5), 5, &[first, second]), Ok(expected));
    }
    assert_eq!(
        read(BodyKind::Length(5), 5, &[b"hell"]),
        Ok((b"hell".to_vec(), vec![], false))
    );
}

#[test]
fn refuses_a_content_length_over_the_limit_before_any_content() {
    assert!(BodyReader::new(BodyKind::Length(10), 10).is_ok());
    for length in [11, u64::MAX] {
        let refused = BodyReader::new(BodyKind::Length(length), 10).err();
        assert_eq!(refused, Some(HttpError::BodyTooLarge));
    }
}

#[test]
fn takes_chunks_off_at_every_split() {
    let all = b"4;a=\"b;c\"\r\nWiki\r\n005\r\npedia\r\nE\r\n in\r\n\r\nchunks.\r\n0;last\r\nExpires: now\r\nX:\r\n\r\nGET";
    let expected = (
        b"Wikipedia in\r\n\r\nchunks.".to_vec(),
        b"GET".to_vec(),
        true,
    );
    for split in 0..=all.len() {
        let (first, second) = all.split_at(split);
        assert_eq!(
            read(BodyKind::Chunked, 100, &[first, second]),
            Ok(expected.clone())
        );
    }
    let bytes: Vec<&[u8]> = all.chunks(1).collect();
    assert_eq!(read(BodyKind::Chunked, 100, &bytes), Ok(expected));
}

type Follows = fn(u8) -> bool;

#[test]
fn walks_every_cell_of_the_table() {
    fn is_token(byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
    }
    fn is_text(byte: u8) -> bool {
        byte == b'\t' || (byte >= 0x20 && byte != 0x7f)
    }
    // What leads into a state, and the bytes with which it goes on.
    let table: [(&str, Follows); 14] = [
        ("", |byte| byte.is_ascii_hexdigit()),
        ("5", |byte| {
            byte.is_ascii_hexdigit() || b";\r \t".contains(&byte)
        }),
        ("5 \t", |byte| b"; \t".contains(&byte)),
        ("5;", |byte| is_text(byte) || byte == b'\r'),
        ("5\r", |byte| byte == b'\n'),
        ("5\r\n", |_| true),
        ("1\r\na", |byte| byte == b'\r'),
        ("1\r\na\r", |byte| byte == b'\n'),
        ("1\r\na\r\n", |byte| byte.is_ascii_hexdigit()),
        ("0\r\n", |byte| is_token(byte) || byte == b'\r'),
        ("0\r\nx", |byte| is_token(byte) || byte == b':'),
        ("0\r\nx:", |byte| is_text(byte) || byte == b'\r'),
        ("0\r\nx:\r", |byte| byte == b'\n'),
        ("0\r\n\r", |byte| byte == b'\n'),
    ];
    for (before, goes_on) in table {
        for byte in 0..=u8::MAX {
            let outcome = chunked(&[before.as_bytes(), &[byte]].concat()).map(|_| ());
            let expected = if goes_on(byte) {
                Ok(())
            } else {
                Err(HttpError::Chunk)
            };
            assert_eq!(outcome, expected, "{before:?} then {byte:#04x}");
        }
    }
}

#[test]
fn refuses_sizes_that_are_not_plain_hexadecimal() {
    for size in [
        "+5", "-5", "0x5", " 5", "5 ", "5\t", "5 a", "g", "", ";a", "５", "5\n", "5,5",
    ] {
        let body = format!("{size}\r\nhello\r\n0\r\n\r\n");
        assert_eq!(chunked(body.as_bytes()), Err(HttpError::Chunk), "{size:?}");
    }
}

#[test]
fn refuses_a_chunk_longer_than_its_size_says() {
    assert_eq!(chunked(b"4\r\nhello\r\n0\r\n\r\n"), Err(HttpError::Chunk));
    assert_eq!(chunked(b"6\r\nhello\r\n0\r\n\r\n"), Err(HttpError::Chunk));
}

#[test]
fn refuses_chunks_over_the_limit_as_soon_as_their_size_is_known() {
    let limited =
        |bytes: &[u8]| read(BodyKind::Chunked, 16, &[bytes]).map(|(content, _, _)| content);
    assert_eq!(
        limited(b"10\r\n0123456789abcdef\r\n0\r\n\r\n"),
        Ok(b"0123456789abcdef".to_vec())
    );
    assert_eq!(limited(b"11"), Err(HttpError::BodyTooLarge));
    assert_eq!(limited(b"8\r\n01234567\r\n9"), Err(HttpError::BodyTooLarge));
    assert_eq!(limited(b"10000000000000000"), Err(HttpError::BodyTooLarge));
    assert_eq!(
        limited(b"ffffffffffffffffffffffff"),
        Err(HttpError::BodyTooLarge)
    );
}

#[test]
fn a_size_that_wraps_around_is_never_small_again() {
    let reader = read(
        BodyKind::Chunked,
        usize::MAX,
        &[b"10000000000000005\r\nhello\r\n"],
    );
    assert_eq!(reader, Err(HttpError::BodyTooLarge));
}

#[test]
fn bounds_zeros_before_a_size() {
    let zeros =
        |count: usize| chunked(format!("{}5\r\nhello\r\n0\r\n\r\n", "0".repeat(count)).as_bytes());
    assert_eq!(zeros(100), Ok(b"hello".to_vec()));
    assert_eq!(
        zeros(MAX_CHUNK_EXTENSIONS as usize + 2),
        Err(HttpError::Chunk)
    );
}

#[test]
fn bounds_extensions_over_the_whole_body() {
    let max = MAX_CHUNK_EXTENSIONS as usize;
    let body = |first: usize, second: usize| {
        format!(
            "1;{}\r\na\r\n1;{}\r\nb\r\n0\r\n\r\n",
            "x".repeat(first),
            "x".repeat(second)
        )
    };
    assert_eq!(chunked(body(max - 5, 5).as_bytes()), Ok(b"ab".to_vec()));
    assert_eq!(
        chunked(body(max - 5, 6).as_bytes()),
        Err(HttpError::ChunkExtensions)
    );
}

#[test]
fn bounds_trailers() {
    let max = MAX_TRAILERS as usize;
    let body = |names: usize, value: usize| {
        format!(
            "0\r\n{}y:{}\r\n\r\n",
            "x:\r\n".repeat(names),
            "v".repeat(value)
        )
    };
    assert_eq!(chunked(body(6, max - 7).as_bytes()), Ok(vec![]));
    assert_eq!(
        chunked(body(7, max - 7).as_bytes()),
        Err(HttpError::TrailersTooLarge)
    );
    assert_eq!(
        chunked(body(max, 0).as_bytes()),
        Err(HttpError::TrailersTooLarge)
    );
}

proptest! {
    #[test]
    fn reads_back_what_was_written_at_any_split(
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..12),
        piece_len in 1..64usize,
    ) {
        let mut wire = Vec::new();
        for part in &parts {
            encode_chunk(part, &mut wire);
        }
        encode_last_chunk(&mut wire);
        wire.extend_from_slice(b"next");
        let pieces: Vec<&[u8]> = wire.chunks(piece_len).collect();
        let expected = (parts.concat(), b"next".to_vec(), true);
        prop_assert_eq!(read(BodyKind::Chunked, 1000, &pieces), Ok(expected));
    }

    #[test]
    fn noise_reads_alike_at_any_split_and_stays_within_the_limit(
        noise in "[0-9a-f\r\n;:x ]{0,60}",
        split in 0..60usize,
    ) {
        let noise = noise.as_bytes();
        let (first, second) = noise.split_at(split.min(noise.len()));
        let whole = read(BodyKind::Chunked, 20, &[noise]);
        prop_assert_eq!(&whole, &read(BodyKind::Chunked, 20, &[first, second]));
        if let Ok((content, _, _)) = whole {
            prop_assert!(content.len() <= 20);
        }
    }
}
