//! XOR masking (RFC 6455 §5.3): a fast version and the plain one it is tested against.

/// Masks or unmasks `data` in place; `offset` is how many bytes of the same payload came before.
pub fn apply_mask(data: &mut [u8], mask: [u8; 4], offset: usize) {
    let mut key = mask;
    key.rotate_left(offset % 4);
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    // Eight bytes is a multiple of the key, so every chunk and the tail start at the key's first
    // byte. The compiler turns this loop into vector instructions.
    let (chunks, tail) = data.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    apply_mask_plain(tail, key, 0);
}

/// Byte by byte, as the RFC defines it.
pub fn apply_mask_plain(data: &mut [u8], mask: [u8; 4], offset: usize) {
    for (index, byte) in data.iter_mut().enumerate() {
        *byte ^= mask[(index + offset) % 4];
    }
}
