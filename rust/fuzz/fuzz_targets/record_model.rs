//! The same for a server with rustls' record layer: after a handshake each, what one makes of it the other must.

#![no_main]

#[path = "../../tls/tests/model/mod.rs"]
mod model;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| model::check(&model::decode(data)));
