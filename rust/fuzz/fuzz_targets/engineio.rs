//! Any bytes as a payload, a WebSocket message and a target: nothing panics, reading always moves
//! on, and the messages that were read survive being written.
#![no_main]

use dscore_proto::engineio::{
    Packet, Part, PayloadFormat, PayloadWriter, Query, Revision, next_packet,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    for revision in [Revision::V3, Revision::V4] {
        let _ = Packet::from_binary(body, revision);
        if let Ok(text) = std::str::from_utf8(body) {
            let _ = Packet::from_text(text, revision);
            let _ = Query::of(text).revision();
        }
    }
    for format in [
        PayloadFormat::V4,
        PayloadFormat::V3Text,
        PayloadFormat::V3Binary,
    ] {
        let messages = messages(body, format);
        check(&messages, PayloadFormat::V3Text);
        check(&messages, PayloadFormat::V3Binary);
        // Text from v3 may hold what separates packets in v4.
        if format == PayloadFormat::V4 {
            check(&messages, format);
        }
    }
});

/// The messages in front of the end, or of the first fault.
fn messages(body: &[u8], format: PayloadFormat) -> Vec<Packet<'_>> {
    let (mut messages, mut at) = (Vec::new(), 0);
    loop {
        let before = at;
        match next_packet(body, &mut at, format) {
            Ok(Some(packet)) => {
                assert!(before < at && at <= body.len());
                if matches!(packet, Packet::Text(_) | Packet::Binary(_)) {
                    messages.push(packet);
                }
            }
            Ok(None) => {
                assert_eq!(at, body.len());
                return messages;
            }
            Err(_) => return messages,
        }
    }
}

fn check(written: &[Packet<'_>], format: PayloadFormat) {
    let mut out = Vec::new();
    let mut writer = PayloadWriter::new(format, &mut out);
    for message in written {
        match message {
            Packet::Text(data) => writer.push(Part::Text(&format!("4{data}"))),
            Packet::Binary(data) => writer.push(Part::Binary(data)),
            other => panic!("{other:?} is no message"),
        }
    }
    assert_eq!(messages(&out, format), written);
}
