//! What TLS records cost: rustls' and our own, cold. The budget: a heartbeat over TLS costs 1.5 µs more, both ways.
//!
//! Each record is of another connection, as it is with a fleet: what one of them needs is in no cache.

#![allow(
    clippy::unwrap_used,
    reason = "a bench that goes wrong has nothing to recover"
)]

#[path = "../rust/tls/tests/model/mod.rs"]
mod model;

use std::hint::black_box;
use std::io::IoSlice;

use dscore_benches::{ask, per_item, size, timed};
use dscore_tls::{MAX_OPENED_BEYOND, RecordLayerKind, Suite, Tls};
use model::{DATA, Narrow, Pair};

/// More than caches hold the tables of.
const CONNECTIONS: usize = 5_000;
/// A message of an agent's.
const LENGTH: usize = 200;

fn main() {
    println!(
        "{} B of Tls, whatever record layer it has",
        size_of::<Tls>()
    );
    for suite in [Suite::Aes256Gcm, Suite::Aes128Gcm, Suite::ChaCha20Poly1305] {
        ask(&format!(
            "What does a record of {LENGTH} B cost, each of another connection? {suite:?}"
        ));
        for kind in [RecordLayerKind::Own, RecordLayerKind::Rustls] {
            let pair = |_| Pair::new(kind, suite);
            let mut pairs: Vec<Pair> = (0..size(CONNECTIONS)).map(pair).collect();
            let mut plain = vec![0; 2 * MAX_OPENED_BEYOND];
            per_item(&format!("open, {kind:?}"), pairs.len(), || {
                let mut records: Vec<Vec<u8>> = pairs
                    .iter_mut()
                    .map(|pair| pair.raw.sealing.seal(DATA, &[b'x'; LENGTH], 0))
                    .collect();
                timed(|| {
                    for (pair, record) in pairs.iter_mut().zip(&mut records) {
                        let opened = pair.tls.open(record, &mut plain).unwrap();
                        assert_eq!(black_box(opened).count, LENGTH);
                    }
                })
            });
            let mut wire = Narrow::default();
            per_item(&format!("seal, {kind:?}"), pairs.len(), || {
                timed(|| {
                    for pair in &mut pairs {
                        wire.takes = usize::MAX;
                        wire.bytes.clear();
                        let mut pieces = [IoSlice::new(&[b'x'; LENGTH])];
                        let sent = pair.tls.send(&mut pieces, &mut wire).unwrap();
                        assert_eq!(black_box(sent), LENGTH);
                    }
                })
            });
        }
    }
}
