//! One HTTP request, head and body: no bytes panic, and no split of them changes what is read.
#![no_main]

use dscore_proto::http::{BodyReader, HttpError, MAX_HEADERS, parse_head};
use libfuzzer_sys::fuzz_target;

const MAX_HEAD: usize = 1024;
const MAX_BODY: usize = 256;

fuzz_target!(|input: (u8, &[u8])| {
    let (split, bytes) = input;
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let Ok(Some((head, len))) = parse_head(bytes, &mut slots, MAX_HEAD) else {
        return;
    };
    assert!(len <= MAX_HEAD);
    assert!(head.target.bytes().all(|byte| byte.is_ascii_graphic()));
    let _ = (head.path(), head.keep_alive(), head.expects_continue());
    let early = &bytes[..usize::from(split).min(len - 1)];
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    assert!(matches!(parse_head(early, &mut slots, MAX_HEAD), Ok(None)));

    let Ok(reader) = head.body().and_then(|kind| BodyReader::new(kind, MAX_BODY)) else {
        return;
    };
    let rest = &bytes[len..];
    let (first, second) = rest.split_at(usize::from(split).min(rest.len()));
    let whole = read(reader.clone(), &[rest]);
    assert_eq!(whole, read(reader, &[first, second]));
    if let Ok((content, taken, _)) = whole {
        assert!(content.len() <= MAX_BODY && taken <= rest.len());
    }
});

/// The content, the bytes taken, and whether the body is complete.
fn read(mut reader: BodyReader, pieces: &[&[u8]]) -> Result<(Vec<u8>, usize, bool), HttpError> {
    let (mut content, mut taken) = (Vec::new(), 0);
    for piece in pieces {
        taken += reader.push(piece, &mut content)?;
    }
    Ok((content, taken, reader.done()))
}
