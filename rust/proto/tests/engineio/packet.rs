//! Single packets, as WebSocket messages carry them.

use std::borrow::Cow;

use dscore_proto::engineio::{Packet, PacketError, Revision};
use proptest::prelude::*;

const BOTH: [Revision; 2] = [Revision::V3, Revision::V4];

fn binary(data: &[u8]) -> Packet<'_> {
    Packet::Binary(Cow::Borrowed(data))
}

#[test]
fn tells_the_types_apart() {
    let cases = [
        (r#"0{"sid":"x"}"#, Packet::Open),
        ("1", Packet::Close),
        ("2", Packet::Ping("")),
        ("2probe", Packet::Ping("probe")),
        ("3", Packet::Pong("")),
        ("3probe", Packet::Pong("probe")),
        ("4", Packet::Text("")),
        ("4hello", Packet::Text("hello")),
        ("4é😀\u{1e}\0", Packet::Text("é😀\u{1e}\0")),
        ("44", Packet::Text("4")),
        ("4b", Packet::Text("b")),
        ("5", Packet::Upgrade),
        ("6", Packet::Noop),
    ];
    for (text, packet) in cases {
        for revision in BOTH {
            assert_eq!(Packet::from_text(text, revision), Ok(packet.clone()));
        }
    }
}

#[test]
fn ignores_data_where_there_should_be_none() {
    for (text, packet) in [
        ("1bye", Packet::Close),
        ("5é", Packet::Upgrade),
        ("6 ", Packet::Noop),
    ] {
        assert_eq!(Packet::from_text(text, Revision::V4), Ok(packet));
    }
}

#[test]
fn refuses_what_has_no_type() {
    let unknown = [
        "7", "9x", "a", "B", "-1", " 4", "\0", "\n4", "é4", "😀", "٤x", "\u{1e}",
    ];
    for revision in BOTH {
        assert_eq!(Packet::from_text("", revision), Err(PacketError::Empty));
        for text in unknown {
            let packet = Packet::from_text(text, revision);
            assert_eq!(packet, Err(PacketError::UnknownType), "{text:?}");
        }
    }
}

#[test]
fn takes_binary_data_as_it_is_in_v4() {
    for data in [&b""[..], b"4", b"\x04", b"bAQID", b"0123456", &[0xff; 3]] {
        assert_eq!(Packet::from_binary(data, Revision::V4), Ok(binary(data)));
    }
}

#[test]
fn takes_binary_data_behind_its_type_in_v3() {
    fn read(data: &[u8]) -> Result<Packet<'_>, PacketError> {
        Packet::from_binary(data, Revision::V3)
    }
    assert_eq!(read(b"\x04\x01\x02\x03"), Ok(binary(b"\x01\x02\x03")));
    assert_eq!(read(b"\x04\x04"), Ok(binary(b"\x04")));
    assert_eq!(read(b"\x04"), Ok(binary(b"")));
    assert_eq!(read(b""), Err(PacketError::Empty));
    for kind in (0..=u8::MAX).filter(|&kind| kind != 4) {
        assert_eq!(read(&[kind, 1]), Err(PacketError::BinaryType));
    }
}

#[test]
fn reads_base64_with_and_without_padding() {
    let cases: [(&str, &[u8]); 8] = [
        ("", b""),
        ("AQIDBA==", b"\x01\x02\x03\x04"),
        ("AQIDBA=", b"\x01\x02\x03\x04"),
        ("AQIDBA", b"\x01\x02\x03\x04"),
        ("AQIDBAU=", b"\x01\x02\x03\x04\x05"),
        ("AQIDBAU", b"\x01\x02\x03\x04\x05"),
        ("+/+/", b"\xfb\xff\xbf"),
        ("NA==", b"4"),
    ];
    for (base64, data) in cases {
        let (v3, v4) = (format!("b4{base64}"), format!("b{base64}"));
        assert_eq!(Packet::from_text(&v3, Revision::V3), Ok(binary(data)));
        assert_eq!(Packet::from_text(&v4, Revision::V4), Ok(binary(data)));
    }
}

#[test]
fn refuses_base64_that_cannot_be_read() {
    let broken = [
        "A", "AQIDB", "AQ===", "=", "====", "AQ==AQ==", "A-_A", "AQID\n", " AQID", "AQ!D", "é",
        "AR==",
    ];
    for base64 in broken {
        let (v3, v4) = (format!("b4{base64}"), format!("b{base64}"));
        for (text, revision) in [(v3, Revision::V3), (v4, Revision::V4)] {
            let packet = Packet::from_text(&text, revision);
            assert_eq!(packet, Err(PacketError::Base64), "{text:?}");
        }
    }
}

#[test]
fn lets_only_messages_be_binary_in_v3() {
    for text in ["b", "b0AQID", "b2AQID", "b6", "bAQID", "bé"] {
        let packet = Packet::from_text(text, Revision::V3);
        assert_eq!(packet, Err(PacketError::BinaryType), "{text:?}");
    }
}

#[test]
fn borrows_data_that_is_not_base64() {
    let Ok(Packet::Binary(Cow::Borrowed(_))) = Packet::from_binary(b"\x04x", Revision::V3) else {
        panic!("the data was copied");
    };
}

proptest! {
    #[test]
    fn no_input_panics(text: String, data: Vec<u8>) {
        for revision in BOTH {
            let _ = Packet::from_text(&text, revision);
            let _ = Packet::from_text(&format!("b{text}"), revision);
            let _ = Packet::from_binary(&data, revision);
        }
    }
}
