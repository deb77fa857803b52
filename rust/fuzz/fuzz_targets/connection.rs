//! Any bytes in any portions: equal events, no panic, no more memory than the limits say.

#![no_main]

#[allow(dead_code, reason = "the joined pair is for the tests it comes from")]
#[path = "../../proto/tests/connection/pair.rs"]
mod pair;

use dscore_proto::CloseCode;
use libfuzzer_sys::fuzz_target;
use pair::Endpoint;

// Two bytes choose the endpoint and the size of a read, the others are what the peer sends.
fuzz_target!(|data: &[u8]| {
    let [kind, size, stream @ ..] = data else {
        return;
    };
    let read = |size: usize| {
        let mut endpoint = endpoint(*kind);
        stream.chunks(size).for_each(|part| endpoint.read(part));
        endpoint.outcome()
    };
    assert_eq!(read(usize::from(*size) + 1), read(usize::MAX));
});

fn endpoint(kind: u8) -> Endpoint {
    let mut endpoint = match kind % 4 {
        0 => Endpoint::client(),
        1 => Endpoint::server_within(100, 3),
        _ => Endpoint::server(),
    };
    if kind >= 0x80 {
        let (connection, out) = (&mut endpoint.connection, &mut endpoint.out);
        connection
            .send_close(CloseCode::NORMAL, "", out)
            .expect("the first close frame is never refused");
    }
    endpoint
}
