//! The fast mask against the plain one.

use dscore_proto::mask::{apply_mask, apply_mask_plain};
use proptest::prelude::*;

#[test]
fn masks_the_example_of_the_rfc() {
    // RFC 6455 §5.7: a single-frame masked text message.
    let mut payload = *b"\x7f\x9f\x4d\x51\x58";
    apply_mask(&mut payload, *b"\x37\xfa\x21\x3d", 0);
    assert_eq!(&payload, b"Hello");
}

#[test]
fn fast_equals_plain_for_every_length_alignment_and_offset() {
    let original: Vec<u8> = (0..=255).collect();
    for start in 0..16 {
        for len in 0..=130 {
            for offset in 0..8 {
                let (mut fast, mut plain) = (original.clone(), original.clone());
                apply_mask(&mut fast[start..start + len], *b"\x01\x20\x83\xfc", offset);
                apply_mask_plain(&mut plain[start..start + len], *b"\x01\x20\x83\xfc", offset);
                assert_eq!(fast, plain, "{len} bytes at {start}, offset {offset}");
            }
        }
    }
}

proptest! {
    #[test]
    fn masking_twice_restores(data: Vec<u8>, key: [u8; 4], offset: usize) {
        let mut masked = data.clone();
        apply_mask(&mut masked, key, offset);
        apply_mask(&mut masked, key, offset);
        prop_assert_eq!(masked, data);
    }

    #[test]
    fn masking_in_parts_equals_masking_at_once(
        data: Vec<u8>,
        key: [u8; 4],
        cut: prop::sample::Index,
    ) {
        let mut whole = data.clone();
        apply_mask(&mut whole, key, 0);
        let mut parts = data;
        let cut = cut.index(parts.len() + 1);
        apply_mask(&mut parts[..cut], key, 0);
        apply_mask(&mut parts[cut..], key, cut);
        prop_assert_eq!(parts, whole);
    }
}
