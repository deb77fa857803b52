//! Bodies of polls: literal ones, hostile ones, and every way there and back.

use std::borrow::Cow;

use dscore_proto::engineio::next_packet;
use dscore_proto::engineio::{Packet, PacketError, Part, PayloadFormat, PayloadWriter, Revision};
use proptest::prelude::*;

use PayloadFormat::{V3Binary, V3Text, V4};

const FORMATS: [PayloadFormat; 3] = [V4, V3Text, V3Binary];

/// The packets in front, and how the body ended. `at` must move on with each, and stay within.
fn read(body: &[u8], format: PayloadFormat) -> (Vec<Packet<'_>>, Result<(), PacketError>) {
    let (mut packets, mut at) = (Vec::new(), 0);
    loop {
        let before = at;
        match next_packet(body, &mut at, format) {
            Ok(Some(packet)) => packets.push(packet),
            Ok(None) => {
                assert_eq!(at, body.len());
                assert_eq!(next_packet(body, &mut at, format), Ok(None));
                return (packets, Ok(()));
            }
            Err(error) => return (packets, Err(error)),
        }
        assert!(before < at && at <= body.len());
    }
}

#[track_caller]
fn check(body: impl AsRef<[u8]>, format: PayloadFormat, packets: &[Packet<'_>]) {
    assert_eq!(read(body.as_ref(), format), (packets.to_vec(), Ok(())));
}

#[track_caller]
fn refuse(body: impl AsRef<[u8]>, format: PayloadFormat, error: PacketError) {
    let body = body.as_ref();
    assert_eq!(read(body, format).1, Err(error), "{}", body.escape_ascii());
}

fn binary(data: &[u8]) -> Packet<'_> {
    Packet::Binary(Cow::Borrowed(data))
}

fn written(format: PayloadFormat, parts: &[Part<'_>]) -> Vec<u8> {
    let mut out = b"before ".to_vec();
    let mut writer = PayloadWriter::new(format, &mut out);
    parts.iter().for_each(|&part| writer.push(part));
    out.split_off(b"before ".len())
}

#[test]
fn reads_the_payloads_of_the_specification() {
    let hello = Packet::Text("hello");
    check(
        "4hello\x1e2\x1e4world",
        V4,
        &[hello.clone(), Packet::Ping(""), Packet::Text("world")],
    );
    check(
        "4hello\x1ebAQIDBA==",
        V4,
        &[hello.clone(), binary(&[1, 2, 3, 4])],
    );
    check("6:4hello2:4€", V3Text, &[hello.clone(), Packet::Text("€")]);
    check(
        "2:4€10:b4AQIDBA==",
        V3Text,
        &[Packet::Text("€"), binary(&[1, 2, 3, 4])],
    );
    check(
        b"\0\x04\xff4\xe2\x82\xac\x01\x05\xff\x04\x01\x02\x03\x04",
        V3Binary,
        &[Packet::Text("€"), binary(&[1, 2, 3, 4])],
    );
}

#[test]
fn writes_the_payloads_of_the_specification() {
    let parts = [Part::Text("4€"), Part::Binary(&[1, 2, 3, 4])];
    assert_eq!(written(V4, &parts), "4€\x1ebAQIDBA==".as_bytes());
    assert_eq!(written(V3Text, &parts), "2:4€10:b4AQIDBA==".as_bytes());
    let parts = [Part::Binary(b""), Part::Text("6")];
    assert_eq!(written(V4, &parts), b"b\x1e6");
    assert_eq!(written(V3Text, &parts), b"2:b41:6");
    assert_eq!(written(V4, &[]), b"");
    let parts = [Part::Text("4€"), Part::Binary(&[1, 2, 3, 4])];
    assert_eq!(
        written(V3Binary, &parts),
        b"\0\x04\xff4\xe2\x82\xac\x01\x05\xff\x04\x01\x02\x03\x04"
    );
}

#[test]
fn takes_the_format_from_the_content_type() {
    let of = |revision, value: &str| PayloadFormat::of(revision, Some(value.as_bytes()));
    assert_eq!(PayloadFormat::of(Revision::V3, None), Some(V3Text));
    assert_eq!(PayloadFormat::of(Revision::V4, None), Some(V4));
    assert_eq!(of(Revision::V3, "text/plain;charset=UTF-8"), Some(V3Text));
    assert_eq!(of(Revision::V3, "application/octet-streams"), Some(V3Text));
    assert_eq!(
        of(Revision::V3, "text/plain; a=application/octet-stream"),
        Some(V3Text)
    );
    assert_eq!(of(Revision::V3, ""), Some(V3Text));
    assert_eq!(of(Revision::V3, "application/octet-stream"), Some(V3Binary));
    assert_eq!(
        of(Revision::V3, " Application/Octet-Stream ; x=y"),
        Some(V3Binary)
    );
    assert_eq!(of(Revision::V4, "application/octet-stream"), None);
}

#[test]
fn refuses_a_body_of_nothing() {
    for format in FORMATS {
        refuse("", format, PacketError::Empty);
    }
}

#[test]
fn refuses_empty_packets_between_separators() {
    for body in [
        "\x1e",
        "4a\x1e",
        "\x1e4a",
        "4a\x1e\x1e4b",
        "4a\x1e4b\x1e\x1e",
    ] {
        refuse(body, V4, PacketError::Empty);
    }
}

#[test]
fn gives_the_packets_before_a_fault() {
    let (packets, end) = read(b"4a\x1e2\x1e9", V4);
    assert_eq!(packets, [Packet::Text("a"), Packet::Ping("")]);
    assert_eq!(end, Err(PacketError::UnknownType));
    let (packets, end) = read(b"2:4a9:4b", V3Text);
    assert_eq!(
        (packets, end),
        (vec![Packet::Text("a")], Err(PacketError::WrongLength))
    );
}

#[test]
fn passes_over_the_empty_packets_of_v3() {
    check("0:", V3Text, &[]);
    check("0:0:1:2", V3Text, &[Packet::Ping("")]);
    check("1:20:", V3Text, &[Packet::Ping("")]);
    refuse(b"\0\0\xff", V3Binary, PacketError::Empty);
    refuse(b"\x01\0\xff", V3Binary, PacketError::Empty);
}

#[test]
fn passes_over_many_empty_packets_without_a_deep_stack() {
    check("0:".repeat(1 << 20), V3Text, &[]);
}

#[test]
fn counts_utf16_code_units_in_v3() {
    check(
        "2:4é2:4€3:4😀1:2",
        V3Text,
        &[
            Packet::Text("é"),
            Packet::Text("€"),
            Packet::Text("😀"),
            Packet::Ping(""),
        ],
    );
    check(
        "7:4a😀é€b1:6",
        V3Text,
        &[Packet::Text("a😀é€b"), Packet::Noop],
    );
    // The length of the UTF-8, that of the characters, and one that halves a surrogate pair.
    refuse("5:4😀", V3Text, PacketError::WrongLength);
    refuse("4:4😀1:6", V3Text, PacketError::BadLength);
    refuse("2:4😀", V3Text, PacketError::WrongLength);
    refuse("2:4😀1:6", V3Text, PacketError::WrongLength);
}

#[test]
fn counts_the_bytes_of_text_in_binary_payloads() {
    let body = b"\0\x05\xff4\xf0\x9f\x98\x80\0\x01\xff6";
    check(body, V3Binary, &[Packet::Text("😀"), Packet::Noop]);
    refuse(
        b"\0\x03\xff4\xf0\x9f\x98\x80",
        V3Binary,
        PacketError::InvalidUtf8,
    );
}

#[test]
fn reads_lengths_of_several_digits() {
    let text = "x".repeat(1233);
    let packets = [Packet::Text(&text), Packet::Ping("")];
    check(format!("1234:4{text}1:2"), V3Text, &packets);
    let mut body = b"\0\x01\x02\x03\x04\xff4".to_vec();
    body.extend_from_slice(text.as_bytes());
    body.extend_from_slice(b"\0\x01\xff2");
    check(body, V3Binary, &packets);
}

#[test]
fn takes_lengths_with_leading_zeros_as_the_reference_parser_does() {
    check("003:4ab00:", V3Text, &[Packet::Text("ab")]);
    check(b"\0\0\0\x01\xff2", V3Binary, &[Packet::Ping("")]);
}

#[test]
fn refuses_lengths_that_are_none() {
    let none = [
        ":4a", "4a", "12", "-1:4", "+2:4a", "2.0:4a", "1e0:4", " 2:4a", "2 :4a", "x:4", "٢:4a",
    ];
    for body in none {
        refuse(body, V3Text, PacketError::BadLength);
    }
    let none: [&[u8]; 6] = [
        b"\0",
        b"\0\xff4",
        b"\0\x01",
        b"\0\x01\x02",
        b"\0\x0a\xff4",
        b"\0\x011:4",
    ];
    for body in none {
        refuse(body, V3Binary, PacketError::BadLength);
    }
}

#[test]
fn refuses_lengths_past_the_body() {
    let huge = "9".repeat(400);
    for digits in ["3", "18446744073709551615", "18446744073709551618", &huge] {
        refuse(format!("{digits}:4a"), V3Text, PacketError::WrongLength);
        refuse(format!("{digits}:4é"), V3Text, PacketError::WrongLength);
        let mut body = vec![0];
        body.extend(digits.bytes().map(|digit| digit - b'0'));
        body.extend_from_slice(b"\xff4a");
        refuse(&body, V3Binary, PacketError::WrongLength);
        body[0] = 1;
        refuse(&body, V3Binary, PacketError::WrongLength);
    }
}

#[test]
fn checks_utf8_packet_by_packet() {
    refuse(b"4\xff", V4, PacketError::InvalidUtf8);
    refuse(b"4a\x1e4\xe2\x82", V4, PacketError::InvalidUtf8);
    refuse(b"2:4\x80\x80", V3Text, PacketError::InvalidUtf8);
    refuse(
        b"3:4\xed\xa0\x80\xed\xb0\x80",
        V3Text,
        PacketError::InvalidUtf8,
    );
    for lead in [0xc3, 0xe2, 0xf0, 0xff] {
        refuse(
            [b"3:4a".as_slice(), &[lead]].concat(),
            V3Text,
            PacketError::WrongLength,
        );
    }
    refuse(b"\0\x02\xff4\xff", V3Binary, PacketError::InvalidUtf8);
    // What comes after a packet is not its fault.
    assert_eq!(read(b"4a\x1e4\xff", V4).0, [Packet::Text("a")]);
    assert_eq!(read(b"2:4a2:4\xff", V3Text).0, [Packet::Text("a")]);
}

#[test]
fn refuses_packets_that_are_neither_text_nor_binary() {
    for form in 2..=u8::MAX {
        refuse([form, 1, 0xff, b'2'], V3Binary, PacketError::UnknownForm);
    }
}

#[test]
fn keeps_binary_data_that_looks_like_something_else() {
    for data in [
        &b"4"[..],
        b"2probe",
        b"\x1e4\x1e",
        b"b4",
        b"1:6",
        b"\x04",
        b"\0\x01\xff6",
    ] {
        for format in FORMATS {
            let body = written(format, &[Part::Binary(data), Part::Text("6")]);
            check(body, format, &[binary(data), Packet::Noop]);
        }
        let mut body = vec![1, data.len() as u8 + 1, 0xff, 4];
        body.extend_from_slice(data);
        check(body, V3Binary, &[binary(data)]);
    }
}

/// A message: text without separators, or binary data.
#[derive(Clone, Debug)]
enum Message {
    Text(String),
    Binary(Vec<u8>),
}

impl Message {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            "4[^\u{1e}]{0,12}".prop_map(Self::Text),
            "4[aé€😀:0-9]{0,12}".prop_map(Self::Text),
            prop::collection::vec(any::<u8>(), 0..12).prop_map(Self::Binary),
        ]
    }

    fn part(&self) -> Part<'_> {
        match self {
            Self::Text(text) => Part::Text(text),
            Self::Binary(data) => Part::Binary(data),
        }
    }

    fn packet(&self) -> Packet<'_> {
        match self {
            Self::Text(text) => Packet::Text(&text[1..]),
            Self::Binary(data) => binary(data),
        }
    }

    /// What a client of v3 makes of it in a binary payload.
    fn encode_v3_binary(&self, out: &mut Vec<u8>) {
        let (form, bytes) = match self {
            Self::Text(text) => (0, text.as_bytes().to_vec()),
            Self::Binary(data) => (1, [&[4], &data[..]].concat()),
        };
        out.push(form);
        out.extend(bytes.len().to_string().bytes().map(|digit| digit - b'0'));
        out.push(0xff);
        out.extend(bytes);
    }
}

fn payload(messages: &[Message], format: PayloadFormat) -> Vec<u8> {
    let parts: Vec<_> = messages.iter().map(Message::part).collect();
    match format {
        V4 => written(V4, &parts),
        V3Text => written(V3Text, &parts),
        V3Binary => {
            let mut out = Vec::new();
            messages
                .iter()
                .for_each(|message| message.encode_v3_binary(&mut out));
            out
        }
    }
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    prop::collection::vec(Message::any(), 1..6)
}

proptest! {
    #[test]
    fn reads_what_was_written(messages in messages()) {
        let packets: Vec<_> = messages.iter().map(Message::packet).collect();
        for format in FORMATS {
            check(payload(&messages, format), format, &packets);
        }
    }

    #[test]
    fn writes_lengths_as_javascript_counts_them(text in "4[aé€😀]{0,20}") {
        let body = written(V3Text, &[Part::Text(&text)]);
        let expected = format!("{}:{text}", text.encode_utf16().count());
        prop_assert_eq!(String::from_utf8(body).unwrap(), expected);
    }

    /// Cut off anywhere, a payload gives the packets that are whole. In v3 nothing else: the rest of
    /// one is an error.
    #[test]
    fn makes_no_packet_of_half_a_packet(messages in messages()) {
        let packets: Vec<_> = messages.iter().map(Message::packet).collect();
        for format in FORMATS {
            let body = payload(&messages, format);
            let whole = |count| payload(&messages[..count], format).len();
            for cut in 1..body.len() {
                let (mut read, end) = read(&body[..cut], format);
                if format == V4 {
                    read.pop();
                } else {
                    prop_assert_eq!(end.is_ok(), cut == whole(read.len()));
                }
                prop_assert!(packets.starts_with(&read));
            }
        }
    }

    #[test]
    fn ends_on_any_bytes(
        body in prop::collection::vec(any::<u8>(), 0..64),
        likely in "[0-9:b4\u{1e}\u{0}é😀]{0,24}",
    ) {
        for format in FORMATS {
            let _ = read(&body, format);
            let _ = read(likely.as_bytes(), format);
        }
    }

    #[test]
    fn survives_a_flipped_byte(messages in messages(), at: prop::sample::Index, byte: u8) {
        for format in FORMATS {
            let mut body = payload(&messages, format);
            let at = at.index(body.len());
            body[at] = byte;
            let _ = read(&body, format);
        }
    }
}
