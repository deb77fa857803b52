//! Any text as a packet and as an event: nothing panics, what was read survives being written, and
//! the way to a canonical message and back keeps the event.
#![no_main]

use dscore_proto::agent::scan;
use dscore_proto::socketio::{
    Event, canonical, decode, encode_event, encode_head, event, has_token, is_array,
};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

fuzz_target!(|text: &str| {
    let _ = (is_array(text), has_token(text));
    let mut out = Vec::new();
    if encode_event(text, &mut out).is_err() {
        assert!(out.is_empty());
    } else if is_json(text) {
        event_of(&out);
    }
    if let Ok(packet) = decode(text) {
        let mut out = Vec::new();
        encode_head(
            packet.kind,
            packet.namespace,
            packet.id,
            packet.attachments,
            &mut out,
        );
        out.extend_from_slice(packet.data.as_bytes());
        assert_eq!(decode(as_text(&out)), Ok(packet));
        if let Ok(event) = event(packet.data) {
            check(&event);
        }
    }
    if let Ok(event) = event(text) {
        assert!(is_json(text));
        check(&event);
    }
});

fn check(event: &Event<'_>) {
    let (mut message, mut data) = (Vec::new(), Vec::new());
    if canonical(event, &mut message).is_err() {
        assert!(message.is_empty());
        return;
    }
    let message = as_text(&message);
    assert_eq!(
        scan(message).expect("the message has a type").type_name,
        event.name
    );
    encode_event(message, &mut data).expect("the message is one");
    assert_eq!(event_of(&data), event.name);
}

/// The name of an event that we wrote, which may be a reserved one.
fn event_of(data: &[u8]) -> String {
    let (name, IgnoredAny) = serde_json::from_slice(data).expect("what was written is an event");
    name
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn as_text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("what was written is text")
}
