//! Any text as an agent's message: what passes is JSON, every field may be asked for, and a refusal
//! can always be sent.

#![no_main]

use dscore_proto::agent::{Kind, encode_error, is_heartbeat_of, scan};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

fuzz_target!(|text: &str| {
    if is_heartbeat_of(text, "a") {
        let scanned = scan(text).expect("a heartbeat is JSON");
        assert_eq!(
            (scanned.kind, scanned.is_of("a")),
            (Kind::Heartbeat, Ok(true))
        );
    }
    let refusal = match scan(text) {
        Ok(scanned) => {
            assert!(serde_json::from_str::<IgnoredAny>(text).is_ok());
            let _ = (scanned.request_id(), scanned.status(), scanned.message());
            let _ = (scanned.stage(), scanned.need_ms());
            let Err(refusal) = scanned.agent_id() else {
                return;
            };
            refusal
        }
        Err(refusal) => refusal,
    };
    let mut out = Vec::new();
    encode_error(refusal.code, &refusal.to_string(), Some(text), &mut out);
    let answer = std::str::from_utf8(&out).expect("the answer is text");
    assert_eq!(scan(answer).expect("the answer is JSON").type_name, "error");
});
