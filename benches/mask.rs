//! What unmasking costs. The budget: 8 GB/s for large payloads.
//!
//! The payload starts at an odd address and in the middle of the key, as it may in a receive
//! buffer. The plain version is what RFC 6455 §5.3 says; its figures show what the fast one gains.

use std::hint::black_box;

use dscore_benches::{ask, throughput, timed};
use dscore_proto::mask::{apply_mask, apply_mask_plain};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A round masks this much, in as many payloads as it takes.
const ROUND_BYTES: usize = 64 << 20;

fn main() {
    ask("How fast are payloads of each size unmasked?");
    for (label, size) in [
        ("64 B", 64),
        ("1 KiB", 1 << 10),
        ("64 KiB", 64 << 10),
        ("1 MiB", 1 << 20),
        ("16 MiB, from memory", 16 << 20),
    ] {
        measure(label, size, apply_mask);
    }
    measure("64 KiB, the plain version", 64 << 10, apply_mask_plain);
}

fn measure(label: &str, size: usize, mask: fn(&mut [u8], [u8; 4], usize)) {
    let mut buffer = vec![0u8; size + 1];
    let payloads = ROUND_BYTES / size;
    throughput(label, payloads * size, || {
        timed(|| {
            for _ in 0..payloads {
                mask(black_box(&mut buffer[1..]), KEY, 1);
            }
        })
    });
}
