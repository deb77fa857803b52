//! Any bytes as a header of the PROXY protocol: read whole wherever they are cut, or refused.

#![no_main]

use dscore_proto::proxy::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let whole = parse(data);
    if let Ok(Some((_, length))) = whole {
        assert!(length <= data.len());
        assert_eq!(parse(&data[..length]), whole);
        // Nothing is decided before it is there.
        assert_eq!(parse(&data[..length - 1]), Ok(None));
    }
});
