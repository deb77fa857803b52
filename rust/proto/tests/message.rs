//! Fragments to messages, and what they may cost.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use dscore_proto::frame::{FrameHeader, Opcode};
use dscore_proto::message::{Message, Payload};
use dscore_proto::{Limits, ProtocolError};

const LIMITS: Limits = Limits {
    max_message_size: 1000,
    max_fragments: 4,
};

fn header(fin: bool, len: usize) -> FrameHeader {
    FrameHeader {
        fin,
        opcode: Opcode::Continuation,
        len: len as u64,
        mask: None,
    }
}

fn add(message: &mut Message, fin: bool, payload: &[u8]) -> Result<(), ProtocolError> {
    message.begin_frame(header(fin, payload.len()), &LIMITS)?;
    message.read_payload(&mut &mut payload.to_vec()[..], &LIMITS)
}

#[test]
fn fragments_become_one_message() {
    let mut message = Message::text();
    add(&mut message, false, b"Hel").unwrap();
    add(&mut message, false, b"").unwrap();
    assert!(!message.is_finished());
    add(&mut message, true, b"lo").unwrap();
    assert!(message.is_finished());
    assert_eq!(message.payload(), Payload::Text("Hello"));
}

#[test]
fn a_character_may_span_fragments() {
    let mut message = Message::text();
    for byte in "한".bytes().take(2) {
        add(&mut message, false, &[byte]).unwrap();
    }
    add(&mut message, true, b"\x9c").unwrap();
    assert_eq!(message.payload(), Payload::Text("한"));
}

#[test]
fn a_text_must_not_end_inside_a_character() {
    let mut message = Message::text();
    assert_eq!(
        add(&mut message, true, b"\xed\x95"),
        Err(ProtocolError::InvalidUtf8)
    );
}

#[test]
fn binary_takes_any_bytes() {
    let mut message = Message::binary();
    add(&mut message, true, b"\xff\x00\xed").unwrap();
    assert_eq!(message.payload(), Payload::Binary(b"\xff\x00\xed"));
}

#[test]
fn a_masked_frame_is_unmasked_across_reads() {
    let mut message = Message::text();
    let masked = FrameHeader {
        mask: Some(*b"\x37\xfa\x21\x3d"),
        ..header(true, 5)
    };
    message.begin_frame(masked, &LIMITS).unwrap();
    for byte in *b"\x7f\x9f\x4d\x51\x58" {
        assert!(message.in_frame());
        message.read_payload(&mut &mut [byte][..], &LIMITS).unwrap();
    }
    assert!(!message.in_frame());
    assert_eq!(message.payload(), Payload::Text("Hello"));
}

#[test]
fn only_the_bytes_of_the_frame_are_consumed() {
    let mut message = Message::text();
    message.begin_frame(header(false, 3), &LIMITS).unwrap();
    let mut bytes = *b"abcdef";
    let mut input = &mut bytes[..];
    message.read_payload(&mut input, &LIMITS).unwrap();
    assert_eq!(input, b"def");
}

#[test]
fn the_size_limit_counts_all_fragments_and_needs_no_payload() {
    let mut message = Message::binary();
    add(&mut message, false, &[0; 600]).unwrap();
    assert_eq!(
        message.begin_frame(header(true, 401), &LIMITS),
        Err(ProtocolError::MessageTooBig { limit: 1000 })
    );
    let mut exact = Message::binary();
    add(&mut exact, false, &[0; 600]).unwrap();
    add(&mut exact, true, &[0; 400]).unwrap();
}

#[test]
fn a_length_that_overflows_is_too_big() {
    let mut message = Message::binary();
    add(&mut message, false, b"x").unwrap();
    assert_eq!(
        message.begin_frame(header(true, usize::MAX), &LIMITS),
        Err(ProtocolError::MessageTooBig { limit: 1000 })
    );
}

#[test]
fn empty_fragments_count() {
    let mut message = Message::text();
    for _ in 0..4 {
        add(&mut message, false, b"").unwrap();
    }
    assert_eq!(
        add(&mut message, true, b""),
        Err(ProtocolError::TooManyFragments { limit: 4 })
    );
}

#[test]
fn memory_follows_what_arrived_and_stays_within_the_limit() {
    let limits = Limits {
        max_message_size: 100_000,
        max_fragments: 1,
    };
    for mut message in [Message::text(), Message::binary()] {
        message.begin_frame(header(true, 100_000), &limits).unwrap();
        assert_eq!(message.capacity(), 0);
        for arrived in 1..=100_000 {
            message.read_payload(&mut &mut [b'x'][..], &limits).unwrap();
            assert!(message.capacity() <= (2 * arrived).min(100_000));
        }
        assert!(message.is_finished());
    }
}
