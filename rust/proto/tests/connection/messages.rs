//! Messages and control frames of an open connection.

use dscore_proto::{Connection, Event, Role, State, UsageError};

use crate::pair::{Endpoint, LIMITS, Pair, Seen, read_every_way};

#[test]
fn reads_the_examples_of_the_rfc() {
    // RFC 6455 §5.7, masked as a client must.
    let (seen, out, _) = read_every_way(
        Endpoint::server,
        b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\
          \x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
    );
    assert_eq!(seen, [Seen::text("Hello"), Seen::Pong(b"Hello".to_vec())]);
    assert!(out.is_empty());
    // And unmasked, as a server must: single, in two fragments.
    let (seen, out, _) = read_every_way(
        Endpoint::client,
        b"\x81\x05Hello\x01\x03Hel\x80\x02lo\x82\x7e\x00\x7e\
          0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
          0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd",
    );
    assert_eq!(seen[..2], [Seen::text("Hello"), Seen::text("Hello")]);
    assert_eq!(seen.len(), 3);
    assert!(out.is_empty());
}

#[test]
fn a_whole_message_is_borrowed_from_the_input() {
    let mut connection = Connection::new(Role::Server);
    let mut input = *b"\x82\x83\0\0\0\0abc\x82\x83\x01\x01\x01\x01abc";
    let range = input.as_ptr_range();
    let (mut at, mut out) = (0, Vec::new());
    for payload in [b"abc", b"`cb"] {
        let event = connection.poll_event(&mut input, &mut at, &LIMITS, &mut out);
        let Ok(Some(Event::Binary(data))) = event else {
            panic!("a binary message");
        };
        assert_eq!(data, payload);
        assert!(range.contains(&data.as_ptr()));
        assert_eq!(connection.buffered(), 0);
    }
}

#[test]
fn a_message_in_parts_is_gathered_and_its_buffer_freed() {
    let mut server = Endpoint::server();
    server.read(b"\x81\x85\0\0\0\0He");
    assert!(server.connection.buffered() > 0);
    server.read(b"llo");
    assert_eq!(server.seen, [Seen::text("Hello")]);
    assert_eq!(server.connection.buffered(), 0);
}

#[test]
fn empty_messages_and_fragments_are_messages() {
    let (seen, _, _) = read_every_way(
        Endpoint::server,
        b"\x81\x80mask\x82\x80mask\x01\x80mask\x00\x80mask\x80\x80mask",
    );
    assert_eq!(
        seen,
        [Seen::text(""), Seen::Binary(Vec::new()), Seen::text("")]
    );
}

#[test]
fn a_ping_is_answered_with_its_payload() {
    let (seen, out, _) = read_every_way(Endpoint::server, b"\x89\x80mask\x89\x83\0\0\0\0abc");
    assert_eq!(seen, [Seen::Ping(Vec::new()), Seen::Ping(b"abc".to_vec())]);
    assert_eq!(out, b"\x8a\x00\x8a\x03abc");
}

#[test]
fn a_ping_of_125_bytes_is_answered() {
    let mut ping = b"\x89\xfd\0\0\0\0".to_vec();
    ping.extend([0xfe; 125]);
    let (seen, out, _) = read_every_way(Endpoint::server, &ping);
    assert_eq!(seen, [Seen::Ping(vec![0xfe; 125])]);
    assert_eq!(out[..2], *b"\x8a\x7d");
    assert_eq!(out[2..], [0xfe; 125]);
}

#[test]
fn control_frames_may_come_between_fragments() {
    let (seen, out, _) = read_every_way(
        Endpoint::server,
        b"\x01\x83\0\0\0\0Hel\x89\x81\0\0\0\0p\x00\x81\0\0\0\0l\x8a\x80\0\0\0\0\x80\x81\0\0\0\0o",
    );
    assert_eq!(
        seen,
        [
            Seen::Ping(b"p".to_vec()),
            Seen::Pong(Vec::new()),
            Seen::text("Hello")
        ]
    );
    assert_eq!(out, b"\x8a\x01p");
}

#[test]
fn a_character_may_span_fragments_and_reads() {
    let (seen, _, _) = read_every_way(
        Endpoint::server,
        b"\x01\x82\0\0\0\0\xed\x95\x00\x82\0\0\0\0\x9c\xea\x80\x82\0\0\0\0\xb8\x80",
    );
    assert_eq!(seen, [Seen::text("한글")]);
}

#[test]
fn the_limits_allow_what_they_say() {
    let exact = || Endpoint::server_within(4, 2);
    let (seen, _, state) = read_every_way(
        exact,
        b"\x81\x84\0\0\0\0four\x01\x82\0\0\0\0fo\x80\x82\0\0\0\0ur",
    );
    assert_eq!(seen, [Seen::text("four"), Seen::text("four")]);
    assert_eq!(state, State::Open);
}

#[test]
fn what_one_side_sends_the_other_sees() {
    for portion in [1, 2, 7, 100, 100_000] {
        let mut pair = Pair::new();
        for (size, text) in [(0, ""), (1, "a"), (125, "b"), (126, "c"), (65_536, "d")] {
            let text = text.repeat(size);
            for endpoint in [&mut pair.client, &mut pair.server] {
                let (connection, out) = (&mut endpoint.connection, &mut endpoint.out);
                connection.send_text(text.as_bytes(), out).unwrap();
                connection.send_binary(text.as_bytes(), out).unwrap();
            }
            pair.exchange(portion);
            let expected = [Seen::Text(text.clone()), Seen::Binary(text.into_bytes())];
            assert_eq!(pair.client.take_seen(), expected);
            assert_eq!(pair.server.take_seen(), expected);
        }
    }
}

#[test]
fn pings_come_back_as_pongs() {
    let mut pair = Pair::new();
    let server = &mut pair.server;
    server.connection.send_ping(b"12", &mut server.out).unwrap();
    pair.exchange(3);
    assert_eq!(pair.client.seen, [Seen::Ping(b"12".to_vec())]);
    assert_eq!(pair.server.seen, [Seen::Pong(b"12".to_vec())]);
}

#[test]
fn a_server_writes_plain_frames_and_a_client_masks_each_with_a_new_key() {
    let mut out = Vec::new();
    Connection::new(Role::Server)
        .send_text(b"Hello", &mut out)
        .unwrap();
    assert_eq!(out, b"\x81\x05Hello");
    let mut client = Connection::client(1);
    let mut frames = Vec::new();
    for _ in 0..2 {
        let mut frame = Vec::new();
        client.send_text(b"Hello", &mut frame).unwrap();
        assert_eq!(frame[..2], *b"\x81\x85");
        frames.push(frame);
    }
    assert_ne!(frames[0], frames[1]);
    let mut other = Vec::new();
    Connection::client(2)
        .send_text(b"Hello", &mut other)
        .unwrap();
    assert_ne!(frames[0], other);
}

#[test]
fn what_must_not_be_sent_is_refused_and_not_written() {
    let mut connection = Connection::new(Role::Server);
    let mut out = Vec::new();
    assert_eq!(
        connection.send_text(b"\xff", &mut out),
        Err(UsageError::InvalidUtf8)
    );
    assert_eq!(
        connection.send_ping(&[0; 126], &mut out),
        Err(UsageError::ControlTooLong)
    );
    assert!(out.is_empty());
    assert_eq!(connection.state(), State::Open);
}
