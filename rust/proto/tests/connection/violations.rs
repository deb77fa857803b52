//! What breaks RFC 6455 or a limit, and the close frame it earns.

use dscore_proto::frame::{Opcode, encode_header};
use dscore_proto::{CloseCode, ProtocolError, State};

use crate::pair::{Endpoint, Seen, read_every_way};

/// The stream breaks `error` in the end, however it is cut, and nothing after that is read.
#[track_caller]
fn fails(endpoint: impl Fn() -> Endpoint, stream: &[u8], error: ProtocolError, code: u16) {
    let stream = [stream, b"\x81\x81\0\0\0\0x\x88\x80mask"].concat();
    let (seen, out, state) = read_every_way(endpoint, &stream);
    assert_eq!(seen, [Seen::Failed(error)]);
    assert_eq!(state, State::Closed);
    let mut client = Endpoint::client();
    client.read(&out);
    assert_eq!(client.seen, [Seen::Close(Some(code), error.to_string())]);
}

#[test]
fn bad_headers_are_1002() {
    for (stream, error) in [
        (&b"\xc1\x80mask"[..], ProtocolError::ReservedBits),
        (b"\xa9\x80mask", ProtocolError::ReservedBits),
        (b"\x83\x80mask", ProtocolError::ReservedOpcode(3)),
        (b"\x8f\x80mask", ProtocolError::ReservedOpcode(15)),
        (b"\x09\x80mask", ProtocolError::FragmentedControl),
        (b"\x89\xfe\x00\x7emask", ProtocolError::ControlTooLong),
        (b"\x88\xfe\x00\x7emask", ProtocolError::ControlTooLong),
        (
            b"\x81\xfe\x00\x05mask12345",
            ProtocolError::NonMinimalLength,
        ),
        (
            b"\x82\xff\x80\0\0\0\0\0\0\0mask",
            ProtocolError::LengthOutOfRange,
        ),
    ] {
        fails(Endpoint::server, stream, error, 1002);
    }
}

#[test]
fn rejects_unmasked_client_frame() {
    for stream in [&b"\x81\x05Hello"[..], b"\x89\x00", b"\x88\x02\x03\xe8"] {
        fails(Endpoint::server, stream, ProtocolError::UnmaskedFrame, 1002);
    }
}

#[test]
fn rejects_masked_server_frame() {
    let mut client = Endpoint::client();
    client.read(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    assert_eq!(client.seen, [Seen::Failed(ProtocolError::MaskedFrame)]);
}

#[test]
fn broken_fragmentation_is_1002() {
    use ProtocolError::{ExpectedContinuation, UnexpectedContinuation};
    for (stream, error) in [
        (&b"\x80\x81\0\0\0\0x"[..], UnexpectedContinuation),
        (b"\x00\x81\0\0\0\0x", UnexpectedContinuation),
        (b"\x01\x81\0\0\0\0x\x81\x81\0\0\0\0y", ExpectedContinuation),
        (b"\x02\x80mask\x02\x81\0\0\0\0y", ExpectedContinuation),
    ] {
        fails(Endpoint::server, stream, error, 1002);
    }
    // The continuation of a message that was finished.
    let (seen, _, _) = read_every_way(Endpoint::server, b"\x01\x80mask\x80\x80mask\x80\x80mask");
    assert_eq!(seen, [Seen::text(""), Seen::Failed(UnexpectedContinuation)]);
}

#[test]
fn a_bad_close_payload_is_1002_and_a_bad_reason_1007() {
    fails(
        Endpoint::server,
        b"\x88\x81\0\0\0\0\x03",
        ProtocolError::TruncatedCloseCode,
        1002,
    );
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        let [high, low] = u16::to_be_bytes(code);
        fails(
            Endpoint::server,
            &[0x88, 0x82, 0, 0, 0, 0, high, low],
            ProtocolError::InvalidCloseCode(code),
            1002,
        );
    }
    fails(
        Endpoint::server,
        b"\x88\x84\0\0\0\0\x03\xe8\xce\x28",
        ProtocolError::InvalidUtf8,
        1007,
    );
}

#[test]
fn text_that_is_not_utf8_is_1007() {
    for stream in [
        &b"\x81\x81\0\0\0\0\xff"[..],
        // Ends inside a character.
        b"\x81\x82\0\0\0\0\xed\x95",
        b"\x01\x81\0\0\0\0\xed\x80\x81\0\0\0\0\x95",
        b"\x01\x82\0\0\0\0\xed\x95\x80\x80mask",
        // A surrogate cut by a fragment border.
        b"\x01\x81\0\0\0\0\xed\x80\x82\0\0\0\0\xa0\x80",
    ] {
        fails(Endpoint::server, stream, ProtocolError::InvalidUtf8, 1007);
    }
}

#[test]
fn bad_text_fails_at_the_first_byte_that_cannot_be_saved() {
    // Text of ten bytes of which seven came: the sixth and seventh are beyond U+10FFFF.
    let start = b"\x81\x8a\0\0\0\0\xce\xba\xe1\xbd\xb9";
    let mut server = Endpoint::server();
    server.read(start);
    server.read(b"\xf4");
    assert!(server.seen.is_empty());
    server.read(b"\x90");
    assert_eq!(server.seen, [Seen::Failed(ProtocolError::InvalidUtf8)]);
}

#[test]
fn a_message_over_the_limit_is_1009_from_its_header_alone() {
    let small = || Endpoint::server_within(100, 4);
    let error = ProtocolError::MessageTooBig { limit: 100 };
    fails(small, b"\x82\xe5mask", error, 1009);
    fails(small, b"\x82\xff\x7f\0\0\0\0\0\0\0mask", error, 1009);
    // A small fragment, and one that would go over in sum.
    fails(small, b"\x02\x81\0\0\0\0x\x00\xe4mask", error, 1009);
    // A frame that is whole in the read is no exception.
    let mut frame = Vec::new();
    encode_header(Opcode::Text, true, 101, Some([0; 4]), &mut frame);
    frame.extend([b'x'; 101]);
    fails(small, &frame, error, 1009);
}

#[test]
fn too_many_fragments_are_1008_even_if_empty() {
    let few = || Endpoint::server_within(100, 3);
    fails(
        few,
        b"\x01\x80mask\x00\x80mask\x00\x80mask\x80\x80mask",
        ProtocolError::TooManyFragments { limit: 3 },
        1008,
    );
}

#[test]
fn events_before_a_violation_are_not_lost() {
    let (seen, out, _) = read_every_way(
        Endpoint::server,
        b"\x81\x81\0\0\0\0x\x89\x80mask\x83\x80mask",
    );
    assert_eq!(
        seen,
        [
            Seen::text("x"),
            Seen::Ping(Vec::new()),
            Seen::Failed(ProtocolError::ReservedOpcode(3))
        ]
    );
    assert_eq!(out, b"\x8a\x00\x88\x16\x03\xeaopcode 3 is reserved");
}

#[test]
fn a_violation_while_closing_is_reported_and_not_answered() {
    let closing = || {
        let mut server = Endpoint::server();
        server
            .connection
            .send_close(CloseCode::NORMAL, "", &mut server.out)
            .unwrap();
        server.take_out();
        server
    };
    for stream in [
        &b"\x83\x80mask"[..],
        b"\x81\x00",
        b"\x80\x80mask",
        b"\x88\x81\0\0\0\0x",
    ] {
        let (seen, out, state) = read_every_way(closing, stream);
        assert!(matches!(seen[..], [Seen::Failed(_)]));
        assert!(out.is_empty());
        assert_eq!(state, State::Closed);
    }
}
