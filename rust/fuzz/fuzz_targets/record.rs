//! Any sequence of records, good ones and others, cut anywhere: heard is what was said, or the connection is over.

#![no_main]

#[path = "../../tls/tests/model/mod.rs"]
mod model;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| model::check_alone(&model::decode(data)));
