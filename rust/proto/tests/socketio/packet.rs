//! The structure of packets: literal ones, hostile ones, and what is written read back.

use dscore_proto::engineio::Revision;
use dscore_proto::socketio::{
    Kind, MAX_ATTACHMENTS, MAX_NAMESPACE, Packet, PacketError, decode, encode_connect_error,
    encode_connected, encode_head,
};
use proptest::prelude::*;

const MAX_ID: u64 = 1 << 53;

/// A packet in `/` without id or attachments.
fn plain(kind: Kind, data: &str) -> Packet<'_> {
    Packet {
        kind,
        namespace: "/",
        id: None,
        attachments: 0,
        data,
    }
}

#[track_caller]
fn refuse(text: &str, error: PacketError) {
    assert_eq!(decode(text), Err(error), "{text:?}");
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = b"before ".to_vec();
    write(&mut out);
    String::from_utf8(out.split_off(b"before ".len())).unwrap()
}

fn encoded(packet: &Packet<'_>) -> String {
    let Packet {
        kind,
        namespace,
        id,
        attachments,
        data,
    } = *packet;
    written(|out| encode_head(kind, namespace, id, attachments, out)) + data
}

#[test]
fn reads_and_writes_the_packets_of_the_specification() {
    let admin = |packet| Packet {
        namespace: "/admin",
        ..packet
    };
    let cases = [
        ("0", plain(Kind::Connect, "")),
        (
            r#"0{"token":"123"}"#,
            plain(Kind::Connect, r#"{"token":"123"}"#),
        ),
        ("0/admin,", admin(plain(Kind::Connect, ""))),
        (
            r#"0/admin,{"token":"123"}"#,
            admin(plain(Kind::Connect, r#"{"token":"123"}"#)),
        ),
        ("1", plain(Kind::Disconnect, "")),
        ("1/admin,", admin(plain(Kind::Disconnect, ""))),
        (r#"2["foo"]"#, plain(Kind::Event, r#"["foo"]"#)),
        (
            r#"2/admin,["bar"]"#,
            admin(plain(Kind::Event, r#"["bar"]"#)),
        ),
        (
            r#"212["foo"]"#,
            Packet {
                id: Some(12),
                ..plain(Kind::Event, r#"["foo"]"#)
            },
        ),
        (
            "3/admin,13[]",
            Packet {
                id: Some(13),
                ..admin(plain(Kind::Ack, "[]"))
            },
        ),
        (
            r#"51-["baz",{"_placeholder":true,"num":0}]"#,
            Packet {
                attachments: 1,
                ..plain(Kind::Event, r#"["baz",{"_placeholder":true,"num":0}]"#)
            },
        ),
        (
            r#"52-/admin,7["baz"]"#,
            Packet {
                attachments: 2,
                id: Some(7),
                ..admin(plain(Kind::Event, r#"["baz"]"#))
            },
        ),
        (
            r#"61-15["bar",{"_placeholder":true,"num":0}]"#,
            Packet {
                attachments: 1,
                id: Some(15),
                ..plain(Kind::Ack, r#"["bar",{"_placeholder":true,"num":0}]"#)
            },
        ),
    ];
    for (text, packet) in cases {
        assert_eq!(decode(text), Ok(packet), "{text}");
        assert_eq!(encoded(&packet), text);
    }
}

#[test]
fn refuses_unknown_kinds() {
    for text in [
        "",
        "7",
        "9[]",
        "abc",
        "-2[]",
        " 2[]",
        "é",
        "٢[]",
        "\0",
        r#"{"type":"x"}"#,
    ] {
        refuse(text, PacketError::UnknownKind);
    }
    refuse(r#"4{"message":"no"}"#, PacketError::ConnectError);
    refuse("4", PacketError::ConnectError);
}

#[test]
fn wants_an_object_or_nothing_of_a_connect() {
    assert_eq!(decode("0{}").unwrap().data, "{}");
    assert_eq!(
        decode(r#"0{"a":[1, 2]} "#).unwrap().data,
        r#"{"a":[1, 2]} "#
    );
    for data in [
        "[]",
        "null",
        r#""x""#,
        "{",
        "{a:1}",
        "{}{}",
        r#"{"a":}"#,
        " {}",
        "{},",
        "abc",
    ] {
        refuse(&format!("0{data}"), PacketError::Data);
        refuse(&format!("0/ns,{data}"), PacketError::Data);
    }
}

#[test]
fn wants_nothing_of_a_disconnect() {
    for data in ["[]", "{}", " ", r#""bye""#] {
        refuse(&format!("1{data}"), PacketError::Data);
    }
}

#[test]
fn wants_an_array_of_events_and_acks() {
    for data in [
        "",
        "{}",
        r#"{"a":["x"]}"#,
        r#"abc["x"]"#,
        r#" ["x"]"#,
        "null",
        r#""x""#,
        "-1[]",
    ] {
        for head in ["2", "25", "51-", "2/ns,", "31", "3/ns,2", "61-3"] {
            refuse(&format!("{head}{data}"), PacketError::Data);
        }
    }
    // Whether the array is one is asked later.
    assert_eq!(decode("2[broken").unwrap().data, "[broken");
}

#[test]
fn cuts_the_query_off_a_namespace() {
    let namespace = |text| decode(text).unwrap().namespace;
    assert_eq!(namespace("0/chat?token=a&b=1,"), "/chat");
    assert_eq!(namespace("0/?token=a,"), "/");
    assert_eq!(namespace("0/?token=a"), "/");
    assert_eq!(namespace("0/chat?/x?y,{}"), "/chat");
    assert_eq!(decode(r#"2/chat?a=1,2["x"]"#).unwrap().id, Some(2));
}

#[test]
fn ends_a_namespace_at_the_comma_or_with_the_packet() {
    let read = |text| decode(text).map(|packet| (packet.namespace, packet.data));
    assert_eq!(read("0/chat"), Ok(("/chat", "")));
    assert_eq!(read("1/chat"), Ok(("/chat", "")));
    assert_eq!(read("0/"), Ok(("/", "")));
    assert_eq!(read("0/,{}"), Ok(("/", "{}")));
    assert_eq!(read(r#"2/a/b-é{},["x,y"]"#), Ok(("/a/b-é{}", r#"["x,y"]"#)));
    // Without the comma all of it is the namespace, and the event has no data.
    refuse(r#"2/chat["x"]"#, PacketError::Data);
    refuse("0,{}", PacketError::Data);
}

#[test]
fn bounds_namespaces() {
    let longest = format!("/{}", "n".repeat(MAX_NAMESPACE - 1));
    assert_eq!(decode(&format!("0{longest},")).unwrap().namespace, longest);
    assert_eq!(
        decode(&format!("0{longest}?query,")).unwrap().namespace,
        longest
    );
    refuse(&format!("0{longest}n,"), PacketError::Namespace);
    refuse(
        &format!("0/{}", "é".repeat(MAX_NAMESPACE / 2)),
        PacketError::Namespace,
    );
    for text in ["0/a\u{1e}4,", "0/\n", "0/\0,", "0/\u{7f},"] {
        refuse(text, PacketError::Namespace);
    }
}

#[test]
fn bounds_ids() {
    let id = |text: &str| decode(text).map(|packet| packet.id);
    assert_eq!(id("20[]"), Ok(Some(0)));
    assert_eq!(id("2012[]"), Ok(Some(12)));
    assert_eq!(id(&format!("3{MAX_ID}[]")), Ok(Some(MAX_ID)));
    for number in [
        "9007199254740993",
        "18446744073709551615",
        "18446744073709551616",
    ] {
        refuse(&format!("2{number}[]"), PacketError::Id);
        refuse(&format!("3{number}[]"), PacketError::Id);
    }
    refuse(&format!("2{}[]", "9".repeat(1 << 20)), PacketError::Id);
    for number in ["-1", "+1", "1.5", "1e3", "٢"] {
        refuse(&format!("3{number}[]"), PacketError::Data);
        refuse(&format!("2{number}[]"), PacketError::Data);
    }
}

#[test]
fn takes_acks_without_an_id() {
    // Of no use, and no harm: the reference parser takes them too.
    for text in ["3[]", "3/ns,[]", "61-[]"] {
        assert_eq!(decode(text).map(|packet| packet.id), Ok(None), "{text}");
    }
}

#[test]
fn wants_the_number_of_attachments_of_binary_packets() {
    let attachments = |text: &str| decode(text).map(|packet| packet.attachments);
    assert_eq!(
        attachments(&format!(r#"5{MAX_ATTACHMENTS}-["x"]"#)),
        Ok(MAX_ATTACHMENTS)
    );
    assert_eq!(attachments(r#"5007-["x"]"#), Ok(7));
    // The reference parser takes it for complete.
    assert_eq!(decode(r#"50-["x"]"#), Ok(plain(Kind::Event, r#"["x"]"#)));
    for text in [
        "5",
        "6",
        r#"5["x"]"#,
        r#"5-["x"]"#,
        r#"51["x"]"#,
        "51",
        r#"5/ns,1-["x"]"#,
        r#"5-1-["x"]"#,
        r#"51.0-["x"]"#,
    ] {
        refuse(text, PacketError::Attachments);
    }
    for number in ["257", "4294967296", "18446744073709551616"] {
        refuse(
            &format!(r#"5{number}-["x"]"#),
            PacketError::TooManyAttachments,
        );
    }
    // Only binary kinds have them.
    refuse(r#"21-["x"]"#, PacketError::Data);
    refuse("51-", PacketError::Data);
}

#[test]
fn reads_deep_data_without_a_deep_stack() {
    let depth = 1 << 20;
    let (open, close) = (r#"{"a":"#.repeat(depth), "}".repeat(depth));
    assert!(decode(&format!("0{open}1{close}")).is_ok());
    refuse(&format!("0{open}"), PacketError::Data);
    assert!(decode(&format!("2{}", "[".repeat(depth))).is_ok());
}

#[test]
fn answers_a_connect_as_either_protocol_has_it() {
    let connected = |namespace, revision| {
        written(|out| encode_connected(namespace, "wZX3oN0bSVIhsaknAAAI", revision, out))
    };
    assert_eq!(
        connected("/", Revision::V4),
        r#"0{"sid":"wZX3oN0bSVIhsaknAAAI"}"#
    );
    assert_eq!(
        connected("/admin", Revision::V4),
        r#"0/admin,{"sid":"wZX3oN0bSVIhsaknAAAI"}"#
    );
    assert_eq!(connected("/", Revision::V3), "0");
    assert_eq!(connected("/admin", Revision::V3), "0/admin,");

    let refused = |namespace, revision| {
        written(|out| encode_connect_error(namespace, "Not \"authorized\"", revision, out))
    };
    assert_eq!(
        refused("/", Revision::V4),
        r#"4{"message":"Not \"authorized\""}"#
    );
    assert_eq!(
        refused("/admin", Revision::V4),
        r#"4/admin,{"message":"Not \"authorized\""}"#
    );
    assert_eq!(refused("/", Revision::V3), r#"4"Not \"authorized\"""#);
    assert_eq!(
        refused("/admin", Revision::V3),
        r#"4/admin,"Not \"authorized\"""#
    );
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![
        Kind::Connect,
        Kind::Disconnect,
        Kind::Event,
        Kind::Ack,
    ])
}

/// What every packet is that was read, whatever it was read from.
fn assert_sound(packet: &Packet<'_>) {
    assert!(packet.namespace.starts_with('/') && packet.namespace.len() <= MAX_NAMESPACE);
    assert!(packet.attachments <= MAX_ATTACHMENTS);
    assert!(packet.id.is_none_or(|id| id <= MAX_ID));
    assert_eq!(decode(&encoded(packet)), Ok(*packet));
}

proptest! {
    #[test]
    fn reads_what_was_written(
        kind in kinds(),
        namespace in "/([a-zé/\\[{-]{1,8})?",
        id in prop::option::of(0..=MAX_ID),
        attachments in 0..=MAX_ATTACHMENTS,
        arguments: Vec<String>,
    ) {
        let array = serde_json::to_string(&arguments).unwrap();
        let (data, attachments) = match kind {
            Kind::Connect => (r#"{"token":"t"}"#, 0),
            Kind::Disconnect => ("", 0),
            _ => (&*array, attachments),
        };
        let packet = Packet { kind, namespace: &namespace, id, attachments, data };
        let text = encoded(&packet);
        prop_assert_eq!(decode(&text), Ok(packet));
    }

    #[test]
    fn no_text_panics(text: String, likely in r#"[0-6]{0,2}[-/?,a0-9é]{0,12}[\[{]?["a,\]}]{0,6}"#) {
        for text in [text, likely] {
            if let Ok(packet) = decode(&text) {
                assert_sound(&packet);
            }
        }
    }

    /// Cut off anywhere, a packet is an error or a packet, never a panic.
    #[test]
    fn survives_every_cut(
        namespace in "(/[a-zé?]{1,8},)?",
        id in "[0-9]{0,17}",
        data in r#"\["[a-zé]{0,9}"\]"#,
    ) {
        for head in ["2", "3", "51-", "612-"] {
            let text = format!("{head}{namespace}{id}{data}");
            for (cut, _) in text.char_indices() {
                if let Ok(packet) = decode(&text[..cut]) {
                    assert_sound(&packet);
                }
            }
        }
    }
}
