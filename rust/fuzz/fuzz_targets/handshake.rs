//! Any bytes as an upgrade request, and as the answer to one.

#![no_main]

use std::net::SocketAddr;

use dscore_proto::handshake::{UpgradeRules, accept, check_response};
use dscore_proto::http::{MAX_HEADERS, parse_head};
use dscore_proto::origin::OriginRules;
use libfuzzer_sys::fuzz_target;

// The example of RFC 6455 §1.2.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fuzz_target!(|data: &[u8]| {
    if let Ok(Some(len)) = check_response(data, KEY) {
        assert!(len <= data.len());
    }
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let Ok(Some((head, _))) = parse_head(data, &mut slots, 4096) else {
        return;
    };
    let origins = ["https://a.example".to_owned(), "self".to_owned()];
    let Ok(origins) = OriginRules::new(&origins, &[]) else {
        return;
    };
    let rules = UpgradeRules {
        origins: &origins,
        local: SocketAddr::from(([127, 0, 0, 1], 80)),
        check_host: true,
        subprotocols: &["one".to_owned(), "two".to_owned()],
    };
    match accept(&head, &rules) {
        Ok(answer) => {
            let mut out = Vec::new();
            answer.encode(&mut out);
            assert!(out.starts_with(b"HTTP/1.1 101 ") && out.ends_with(b"\r\n\r\n"));
        }
        Err(error) => assert!((400..500).contains(&error.status())),
    }
});
