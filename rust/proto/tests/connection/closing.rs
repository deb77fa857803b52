//! The closing handshake (RFC 6455 §5.5.1, §7).

use dscore_proto::{CloseCode, State, UsageError};

use crate::pair::{Endpoint, Pair, Seen, read_every_way};

fn closing_server() -> Endpoint {
    let mut server = Endpoint::server();
    server
        .connection
        .send_close(CloseCode::GOING_AWAY, "", &mut server.out)
        .unwrap();
    assert_eq!(server.take_out(), b"\x88\x02\x03\xe9");
    server
}

#[test]
fn a_close_is_answered_with_the_same_code() {
    for (frame, code, reason, answer) in [
        (
            &b"\x88\x82\0\0\0\0\x03\xe8"[..],
            1000,
            "",
            &b"\x88\x02\x03\xe8"[..],
        ),
        (
            b"\x88\x85\0\0\0\0\x03\xe9bye",
            1001,
            "bye",
            b"\x88\x02\x03\xe9",
        ),
        (b"\x88\x82\0\0\0\0\x0f\xa0", 4000, "", b"\x88\x02\x0f\xa0"),
    ] {
        let (seen, out, state) = read_every_way(Endpoint::server, frame);
        assert_eq!(seen, [Seen::Close(Some(code), reason.to_owned())]);
        assert_eq!(out, answer);
        assert_eq!(state, State::Closed);
    }
}

#[test]
fn an_empty_close_is_answered_by_an_empty_close() {
    let (seen, out, state) = read_every_way(Endpoint::server, b"\x88\x80mask");
    assert_eq!(seen, [Seen::Close(None, String::new())]);
    assert_eq!(out, b"\x88\x00");
    assert_eq!(state, State::Closed);
}

#[test]
fn every_code_that_may_be_sent_is_taken() {
    for code in (1000..=1003)
        .chain(1007..=1014)
        .chain([3000, 3999, 4000, 4999])
    {
        let mut server = Endpoint::server();
        let [high, low] = u16::to_be_bytes(code);
        server.read(&[0x88, 0x82, 0, 0, 0, 0, high, low]);
        assert_eq!(server.seen, [Seen::Close(Some(code), String::new())]);
        assert_eq!(server.out, [0x88, 2, high, low]);
    }
}

#[test]
fn nothing_is_read_after_the_peers_close() {
    // A message, a ping, a second close, and what would be a violation.
    for after in [
        &b"\x81\x81\0\0\0\0x"[..],
        b"\x89\x80mask",
        b"\x88\x80mask",
        b"\xff\xff",
    ] {
        let stream = [b"\x88\x80mask", after].concat();
        let (seen, out, state) = read_every_way(Endpoint::server, &stream);
        assert_eq!(seen, [Seen::Close(None, String::new())]);
        assert_eq!(out, b"\x88\x00");
        assert_eq!(state, State::Closed);
    }
}

#[test]
fn a_close_between_fragments_drops_the_message() {
    let (seen, _, state) = read_every_way(
        Endpoint::server,
        b"\x01\x83\0\0\0\0Hel\x88\x80mask\x80\x82\0\0\0\0lo",
    );
    assert_eq!(seen, [Seen::Close(None, String::new())]);
    assert_eq!(state, State::Closed);
}

#[test]
fn while_closing_only_the_peers_close_is_an_event() {
    let (seen, out, state) = read_every_way(
        closing_server,
        b"\x81\x81\0\0\0\0x\x89\x81\0\0\0\0p\x8a\x80mask\x02\x81\0\0\0\0y\x80\x80mask\
          \x88\x82\0\0\0\0\x03\xe8\x81\x81\0\0\0\0z",
    );
    assert_eq!(seen, [Seen::Close(Some(1000), String::new())]);
    assert!(out.is_empty(), "nothing follows our close frame");
    assert_eq!(state, State::Closed);
}

#[test]
fn a_message_begun_before_our_close_is_dropped_after_it() {
    let mut server = Endpoint::server();
    server.read(b"\x01\x83\0\0\0\0Hel");
    server
        .connection
        .send_close(CloseCode::NORMAL, "", &mut server.out)
        .unwrap();
    server.read(b"\x80\x82\0\0\0\0lo\x88\x80mask");
    assert_eq!(server.seen, [Seen::Close(None, String::new())]);
}

/// The head of a masked frame with so long a payload, whose key is zero.
fn frame_of(first: u8, length: u64) -> Vec<u8> {
    [&[first, 0xff][..], &length.to_be_bytes(), &[0; 4]].concat()
}

#[test]
fn while_closing_no_payload_is_kept_however_it_comes() {
    for (first, followed_by) in [
        (0x01, &b"\x80\x81\0\0\0\0x"[..]),
        (0x02, b"\x80\x81\0\0\0\0x"),
        (0x81, b""),
        (0x82, b""),
    ] {
        for size in [1, 7, 4096] {
            let mut server = closing_server();
            let mut stream = frame_of(first, 100_000);
            stream.extend_from_slice(&[0xff; 100_000]);
            stream.extend_from_slice(followed_by);
            for part in stream.chunks(size) {
                server.read(part);
                assert_eq!(server.connection.buffered(), 0);
            }
            server.read(b"\x88\x82\0\0\0\0\x03\xe8");
            assert_eq!(server.seen, [Seen::Close(Some(1000), String::new())]);
        }
    }
}

#[test]
fn what_was_kept_of_a_message_goes_with_our_close() {
    for first in [0x01, 0x02, 0x81, 0x82] {
        let mut server = Endpoint::server();
        server.read(&frame_of(first, 100_000));
        server.read(&[b'x'; 60_000]);
        assert!(server.connection.buffered() >= 60_000);
        let (connection, out) = (&mut server.connection, &mut server.out);
        connection.send_close(CloseCode::NORMAL, "", out).unwrap();
        assert_eq!(connection.buffered(), 0);
        server.read(&[b'x'; 40_000]);
        assert_eq!(server.connection.buffered(), 0);
        // The end of the frame is found where it is, and what follows it is understood.
        if first & 0x80 == 0 {
            server.read(b"\x80\x80mask");
        }
        server.read(b"\x88\x80mask");
        assert_eq!(server.seen, [Seen::Close(None, String::new())]);
    }
}

#[test]
fn nothing_is_sent_after_our_close() {
    let mut closed = closing_server();
    closed.read(b"\x88\x80mask");
    for mut endpoint in [closing_server(), closed] {
        let state = endpoint.connection.state();
        let (connection, out) = (&mut endpoint.connection, &mut endpoint.out);
        assert_eq!(connection.send_text(b"", out), Err(UsageError::NotOpen));
        assert_eq!(connection.send_binary(b"", out), Err(UsageError::NotOpen));
        assert_eq!(connection.send_ping(b"", out), Err(UsageError::NotOpen));
        assert_eq!(
            connection.send_close(CloseCode::NORMAL, "", out),
            Err(UsageError::AlreadyClosing)
        );
        assert!(out.is_empty());
        assert_eq!(connection.state(), state);
    }
}

#[test]
fn a_pair_closes_with_one_frame_each_way() {
    let mut pair = Pair::new();
    let server = &mut pair.server;
    server
        .connection
        .send_close(CloseCode::TAKEN_OVER, "다른 곳에서 연결됨", &mut server.out)
        .unwrap();
    assert_eq!(server.connection.state(), State::Closing);
    pair.exchange(5);
    let reason = "다른 곳에서 연결됨".to_owned();
    assert_eq!(pair.client.seen, [Seen::Close(Some(4409), reason)]);
    assert_eq!(pair.server.seen, [Seen::Close(Some(4409), String::new())]);
    assert!(pair.client.connection.is_closed() && pair.server.connection.is_closed());
}

#[test]
fn both_sides_may_close_at_once() {
    let mut pair = Pair::new();
    for (endpoint, code) in [
        (&mut pair.client, CloseCode::NORMAL),
        (&mut pair.server, CloseCode::GOING_AWAY),
    ] {
        endpoint
            .connection
            .send_close(code, "", &mut endpoint.out)
            .unwrap();
    }
    pair.exchange(1);
    assert_eq!(pair.client.seen, [Seen::Close(Some(1001), String::new())]);
    assert_eq!(pair.server.seen, [Seen::Close(Some(1000), String::new())]);
    assert!(pair.client.connection.is_closed() && pair.server.connection.is_closed());
}

#[test]
fn a_long_reason_still_fits_a_control_frame() {
    let mut server = Endpoint::server();
    server
        .connection
        .send_close(CloseCode::POLICY, &"한".repeat(100), &mut server.out)
        .unwrap();
    let mut client = Endpoint::client();
    client.read(&server.out);
    assert_eq!(client.seen, [Seen::Close(Some(1008), "한".repeat(41))]);
}
