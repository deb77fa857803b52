//! A header that is accepted must be written back byte for byte.

#![no_main]

use dscore_proto::frame::{decode_header, encode_header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(Some((header, len))) = decode_header(data) {
        let mut bytes = Vec::new();
        encode_header(
            header.opcode,
            header.fin,
            header.len,
            header.mask,
            &mut bytes,
        );
        assert_eq!(bytes, data[..len]);
    }
});
