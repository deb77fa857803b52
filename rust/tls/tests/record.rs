//! The record layer against rustls, in every order; and what it makes of records that rustls would not say.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod model;

use std::io::Write;

use dscore_tls::{
    Failure, MAX_OPENED_BEYOND, RecordError, RecordLayer, RecordLayerKind, Secret, Suite, Tls,
};
use model::{
    ALERT, DATA, Direction, HANDSHAKE, Narrow, Pair, SUITES, check, check_alone, decode, feed,
    pattern, shake_hands,
};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn says_and_hears_what_rustls_does(data in proptest::collection::vec(any::<u8>(), 0..300)) {
        check(&decode(&data));
    }

    #[test]
    fn hears_what_was_said_and_nothing_else(data in proptest::collection::vec(any::<u8>(), 0..300)) {
        check_alone(&decode(&data));
    }
}

fn layer(suite: Suite, received: u64, sent: u64) -> (RecordLayer, Direction, Direction) {
    let length = if suite == Suite::Aes256Gcm { 48 } else { 32 };
    let (client, server) = (vec![1; length], vec![2; length]);
    let secret = |bytes, sequence| Secret { bytes, sequence };
    let layer = RecordLayer::new(suite, secret(&client, received), secret(&server, sent)).unwrap();
    let sealing = Direction::new(suite, &client, received);
    (layer, sealing, Direction::new(suite, &server, sent))
}

/// What is made of one record, and the alert that is said of it.
fn refused(
    suite: Suite,
    record: impl FnOnce(&mut Direction) -> Vec<u8>,
) -> (RecordError, Option<u8>) {
    let (mut layer, mut sealing, mut opening) = layer(suite, 0, 0);
    let mut record = record(&mut sealing);
    let mut plain = vec![0; record.len() + MAX_OPENED_BEYOND];
    let error = layer.open(&mut record, &mut plain).unwrap_err();
    let mut out = Vec::new();
    while layer.wants_write() {
        layer.write(&mut out).unwrap();
    }
    // It stays over, and says nothing more.
    let mut more = sealing.seal(DATA, b"more", 0);
    assert_eq!(layer.open(&mut more, &mut plain).unwrap_err(), error);
    layer.close().unwrap();
    assert!(!layer.wants_write());
    if out.is_empty() {
        return (error, None);
    }
    let (kind, content) = opening.open(&out);
    assert_eq!((kind, content[0]), (ALERT, 2));
    (error, Some(content[1]))
}

/// An allocator gives 240 bytes for it, and its own word: one byte more, and it takes 256.
#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Tls>() <= 232, "{} bytes", size_of::<Tls>());
}

#[test]
fn every_single_bit_of_a_record_counts() {
    for suite in SUITES {
        let length = Direction::new(
            suite,
            &vec![1; if suite == Suite::Aes256Gcm { 48 } else { 32 }],
            0,
        )
        .seal(DATA, b"heartbeat", 3)
        .len();
        for bit in 0..length * 8 {
            // What is longer now is waited for, and what is shorter is none.
            if (3..5).contains(&(bit / 8)) {
                continue;
            }
            let (error, alert) = refused(suite, |sealing| {
                let mut record = sealing.seal(DATA, b"heartbeat", 3);
                record[bit / 8] ^= 1 << (bit % 8);
                record
            });
            let expected = match bit / 8 {
                0 => (RecordError::Unexpected, Some(10)),
                _ => (RecordError::Mac, Some(20)),
            };
            assert_eq!((error, alert), expected, "bit {bit}");
        }
    }
}

#[test]
fn a_record_opens_once_and_in_its_place_only() {
    for suite in SUITES {
        let again = refused(suite, |sealing| {
            let record = sealing.seal(DATA, b"once", 0);
            [&record[..], &record].concat()
        });
        let swapped = refused(suite, |sealing| {
            let first = sealing.seal(DATA, b"first", 0);
            [sealing.seal(DATA, b"second", 0), first].concat()
        });
        let skipped = refused(suite, |sealing| {
            sealing.seal(DATA, b"lost", 0);
            sealing.seal(DATA, b"second", 0)
        });
        let old_key = refused(suite, |sealing| {
            let mut records = sealing.seal(HANDSHAKE, &[24, 0, 0, 1, 0], 0);
            records.extend(sealing.seal(DATA, b"with the old key", 0));
            records
        });
        for outcome in [again, swapped, skipped, old_key] {
            assert_eq!(outcome, (RecordError::Mac, Some(20)));
        }
    }
}

#[test]
fn other_outer_types_are_unexpected() {
    let change_cipher_spec = refused(Suite::Aes128Gcm, |_| vec![20, 3, 3, 0, 1, 1]);
    let plain_alert = refused(Suite::Aes128Gcm, |_| vec![21, 3, 3, 0, 2, 2, 40]);
    let plain_handshake = refused(Suite::Aes128Gcm, |_| vec![22, 3, 3, 0, 5, 24, 0, 0, 1, 0]);
    for outcome in [change_cipher_spec, plain_alert, plain_handshake] {
        assert_eq!(outcome, (RecordError::Unexpected, Some(10)));
    }
}

#[test]
fn lengths_are_those_of_the_protocol() {
    let too_long = refused(Suite::ChaCha20Poly1305, |_| {
        [&[23, 3, 3, 0x41, 0x01][..], &vec![0; 0x4101]].concat()
    });
    assert_eq!(too_long, (RecordError::Overflow, Some(22)));
    // Its inner part is too long, though it is not by itself.
    for (content, padding) in [(16_385, 0), (16_384, 1), (0, 16_400)] {
        let outcome = refused(Suite::ChaCha20Poly1305, |sealing| {
            sealing.seal(DATA, &vec![1; content], padding)
        });
        assert_eq!(outcome, (RecordError::Overflow, Some(22)));
    }
    for short in [0, 1, 15, 16] {
        let outcome = refused(Suite::Aes256Gcm, |_| {
            [&[23, 3, 3, 0, short][..], &vec![7; usize::from(short)]].concat()
        });
        assert_eq!(outcome, (RecordError::Mac, Some(20)));
    }
    for (content, padding) in [(16_384, 0), (16_000, 384), (1, 16_383)] {
        let (mut layer, mut sealing, _) = layer(Suite::Aes256Gcm, 0, 0);
        let mut record = sealing.seal(DATA, &pattern(content), padding);
        let mut plain = vec![0; MAX_OPENED_BEYOND];
        let opened = layer.open(&mut record, &mut plain).unwrap();
        assert!(plain[..opened.count] == pattern(content));
    }
}

#[test]
fn what_is_inside_is_data_alerts_or_key_updates() {
    for kind in (0..=255).filter(|kind| !matches!(kind, 21..=23)) {
        let outcome = refused(Suite::Aes128Gcm, |sealing| sealing.seal(kind, &[0, 0], 0));
        assert_eq!(outcome, (RecordError::Unexpected, Some(10)), "{kind}");
    }
    // Handshakes and alerts of nothing (RFC 8446 §5.4), and one that anything comes in between of.
    for kind in [HANDSHAKE, ALERT] {
        let outcome = refused(Suite::Aes128Gcm, |sealing| sealing.seal(kind, b"", 0));
        assert_eq!(outcome, (RecordError::Unexpected, Some(10)));
    }
    for (kind, content) in [(DATA, &b"data"[..]), (DATA, b""), (ALERT, &[1, 0])] {
        let outcome = refused(Suite::Aes128Gcm, |sealing| {
            let begun = sealing.seal(HANDSHAKE, &[24, 0], 0);
            [begun, sealing.seal(kind, content, 0)].concat()
        });
        assert_eq!(outcome, (RecordError::Unexpected, Some(10)));
    }
    let alert = refused(Suite::Aes128Gcm, |sealing| sealing.seal(ALERT, &[2, 48], 0));
    assert_eq!(alert, (RecordError::Alert(48), None));
}

#[test]
fn records_without_data_are_bounded_in_a_row_and_not_over_time() {
    let kinds: [fn(&mut Direction) -> Vec<u8>; 2] = [
        |sealing| sealing.seal(DATA, b"", 7),
        |sealing| sealing.seal(ALERT, &[1, 90], 0),
    ];
    for useless in kinds {
        let (mut layer, mut sealing, _) = layer(Suite::ChaCha20Poly1305, 0, 0);
        let mut plain = vec![0; MAX_OPENED_BEYOND];
        for _ in 0..100 {
            for _ in 0..32 {
                layer.open(&mut useless(&mut sealing), &mut plain).unwrap();
            }
            let opened = layer.open(&mut sealing.seal(DATA, b"data", 0), &mut plain);
            assert_eq!(opened.unwrap().count, 4);
        }
        for _ in 0..32 {
            layer.open(&mut useless(&mut sealing), &mut plain).unwrap();
        }
        let error = layer.open(&mut useless(&mut sealing), &mut plain);
        assert_eq!(error, Err(RecordError::Unexpected));
    }
}

#[test]
fn keys_may_change_for_ever_but_not_all_the_time() {
    let (mut layer, mut sealing, _) = layer(Suite::Aes128Gcm, 0, 0);
    let mut plain = vec![0; MAX_OPENED_BEYOND];
    let mut update = |records: usize| {
        for _ in 1..records {
            let mut record = sealing.seal(DATA, b"data", 0);
            layer.open(&mut record, &mut plain).unwrap();
        }
        let mut record = sealing.seal(HANDSHAKE, &[24, 0, 0, 1, 0], 0);
        sealing.update();
        layer
            .open(&mut record, &mut plain)
            .map(|opened| opened.count)
    };
    for _ in 0..100 {
        assert_eq!(update(64), Ok(0));
    }
    for early in 0..32 {
        assert_eq!(update(1 + early), Ok(0));
        assert_eq!(update(100), Ok(0));
    }
    assert_eq!(update(63), Err(RecordError::Unexpected));
}

#[test]
fn nothing_is_sealed_once_the_connection_is_over() {
    let mut pair = Pair::new(RecordLayerKind::Own, Suite::Aes128Gcm);
    assert_eq!(pair.receive(&[20, 3, 3, 0, 1, 1]), Err(Failure::Invalid));
    let mut pieces = [std::io::IoSlice::new(b"more")];
    pair.tls.send(&mut pieces, &mut Vec::new()).unwrap_err();
    assert_eq!(pair.alerts, [2, 10]);
}

#[test]
fn an_update_that_is_asked_for_comes_at_once_and_one_answer_serves_many() {
    for suite in SUITES {
        let (mut layer, mut sealing, mut opening) = layer(suite, 0, 0);
        let mut plain = vec![0; MAX_OPENED_BEYOND];
        let mut asked = Vec::new();
        for _ in 0..5 {
            asked.extend(sealing.seal(HANDSHAKE, &[24, 0, 0, 1, 1], 0));
            sealing.update();
        }
        assert!(layer.open(&mut asked, &mut plain).unwrap().has_answer);
        // A socket that takes nothing is not written for again.
        asked = sealing.seal(HANDSHAKE, &[24, 0, 0, 1, 1], 0);
        sealing.update();
        assert!(!layer.open(&mut asked, &mut plain).unwrap().has_answer);
        let mut out = Vec::new();
        layer.write(&mut out).unwrap();
        assert_eq!(opening.open(&out), (HANDSHAKE, vec![24, 0, 0, 1, 0]));
        opening.update();
        // What it owes goes before the next data.
        let data = [std::io::IoSlice::new(b"data")];
        out.clear();
        layer.send(&data, &mut out).unwrap();
        let update = 5 + 5 + 1 + 16;
        assert_eq!(opening.open(&out[..update]).0, HANDSHAKE);
        opening.update();
        assert_eq!(opening.open(&out[update..]), (DATA, b"data".to_vec()));
        assert!(!layer.wants_write());
    }
}

#[test]
fn a_key_seals_so_many_records_and_no_more() {
    for suite in SUITES {
        let most = 1 << 23;
        let (layer, _, opening) = layer(suite, 0, most - 2);
        let (mut tls, mut opening) = (Tls::own(layer), opening);
        let mut wire = Narrow {
            bytes: Vec::new(),
            takes: usize::MAX,
        };
        let mut kinds = Vec::new();
        for _ in 0..4 {
            tls.send(&mut [std::io::IoSlice::new(b"data")], &mut wire)
                .unwrap();
            while !wire.bytes.is_empty() {
                let length = 5 + usize::from(u16::from_be_bytes([wire.bytes[3], wire.bytes[4]]));
                let record: Vec<u8> = wire.bytes.drain(..length).collect();
                let (kind, _) = opening.open(&record);
                if kind == HANDSHAKE {
                    opening.update();
                }
                kinds.push(kind);
            }
        }
        assert_eq!(kinds, [DATA, DATA, HANDSHAKE, DATA, DATA]);
    }
}

#[test]
fn nothing_is_opened_behind_a_close_notify() {
    let mut pair = Pair::new(RecordLayerKind::Own, Suite::Aes256Gcm);
    let mut bytes = pair.raw.sealing.seal(DATA, b"last words", 0);
    bytes.extend(pair.raw.sealing.seal(ALERT, &[1, 0], 0));
    bytes.extend([0xff; 40]);
    assert_eq!(pair.receive(&bytes), Ok(true));
    assert_eq!(pair.receive(b"whatever"), Ok(true));
    assert_eq!(pair.heard, b"last words");
    // We may go on.
    pair.send(&[b"so ", b"long"], 7);
    pair.finish();
    pair.finish();
    assert_eq!(pair.said, b"so long");
    assert_eq!(pair.alerts, [1, 0]);
}

#[test]
fn a_fatal_alert_of_the_peer_is_not_answered() {
    let mut pair = Pair::new(RecordLayerKind::Own, Suite::Aes128Gcm);
    let alert = pair.raw.sealing.seal(ALERT, &[2, 40], 0);
    assert_eq!(pair.receive(&alert), Err(Failure::Refused));
    pair.finish();
    assert_eq!(pair.alerts, b"");
}

#[test]
fn every_split_of_a_conversation_is_heard_alike() {
    let say = |pair: &mut Pair| {
        let sealing = &mut pair.raw.sealing;
        let mut bytes = sealing.seal(DATA, b"before", 2);
        bytes.extend(sealing.seal(HANDSHAKE, &[24, 0, 0], 0));
        bytes.extend(sealing.seal(HANDSHAKE, &[1, 1], 0));
        sealing.update();
        bytes.extend(sealing.seal(DATA, b"after", 0));
        bytes
    };
    for suite in SUITES {
        let length = say(&mut Pair::at_once(suite)).len();
        for first in 0..=length {
            let mut pair = Pair::at_once(suite);
            let bytes = say(&mut pair);
            let second = first + (length - first) / 2;
            for part in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                assert_eq!(pair.receive(part), Ok(false));
            }
            assert_eq!(pair.heard, b"beforeafter", "{first}");
            assert_eq!(pair.tls.held(), 0);
            pair.send(&[b"answer"], 5);
            assert_eq!(pair.said, b"answer");
        }
    }
}

#[test]
fn rustls_as_a_client_talks_with_it_and_changes_keys() {
    for suite in SUITES {
        let (mut tls, input, mut client, _) =
            shake_hands(RecordLayerKind::Own, suite, b"said with the last flight");
        assert_eq!(input, b"said with the last flight");
        let mut plain = vec![0; 2 * MAX_OPENED_BEYOND];
        for round in 0..40 {
            let text = pattern(round * 500);
            client.writer().write_all(&text).unwrap();
            if round % 3 == 0 {
                client.refresh_traffic_keys().unwrap();
            }
            let (mut sealed, mut heard) = (Vec::new(), Vec::new());
            while client.wants_write() {
                client.write_tls(&mut sealed).unwrap();
            }
            for part in sealed.chunks_mut(1_000) {
                let opened = tls.open(part, &mut plain).unwrap();
                heard.extend_from_slice(&plain[..opened.count]);
            }
            assert!(heard == text);
            let mut wire = Narrow {
                bytes: Vec::new(),
                takes: usize::MAX,
            };
            let mut pieces = [std::io::IoSlice::new(&text)];
            assert_eq!(tls.send(&mut pieces, &mut wire).unwrap(), text.len());
            feed(&mut client, &mut wire.bytes);
            let mut read = vec![0; text.len()];
            std::io::Read::read_exact(&mut client.reader(), &mut read).unwrap();
            assert!(read == text);
        }
        let mut wire = Narrow {
            bytes: Vec::new(),
            takes: usize::MAX,
        };
        tls.finish(&mut wire).unwrap();
        feed(&mut client, &mut wire.bytes);
        assert_eq!(
            std::io::Read::read(&mut client.reader(), &mut [0]).unwrap(),
            0
        );
    }
}

#[test]
fn what_is_touched_behind_the_handshake_is_refused_with_an_alert() {
    let mut pair = Pair::new(RecordLayerKind::Own, Suite::Aes128Gcm);
    let mut bytes = pair.raw.sealing.seal(DATA, b"touched", 0);
    bytes[9] ^= 1;
    assert_eq!(pair.receive(&bytes), Err(Failure::Invalid));
    assert_eq!(pair.alerts, [2, 20]);
}
