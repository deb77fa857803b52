use std::sync::Arc;

use dscore_proto::engineio::Revision;
use dscore_traffic::Endpoint;

use super::*;
use crate::conversation::transport::{Polling, Waiting};
use crate::dialect::Dialect;
use crate::settings::Settings;
use crate::testing::{Bench, CONN};

#[test]
fn a_session_that_polls_has_the_time_to_do_so_that_it_was_told() {
    let mut bench = Bench::new();
    let poll = Waiting {
        http: CONN,
        headers: vec![],
    };
    let polling = Box::new(Polling::new(Revision::V4, false, poll));
    let transport = Transport::Polling(polling);
    let endpoint = Endpoint::PlainEngineIo;
    let dialect = Dialect::new(endpoint, Revision::V4, 0, &bench.cx.settings);
    let conversation = Conversation::new(endpoint, transport, dialect, &mut bench.cx);
    let mut peer = Peer::polling(conversation, bench.cx.now_ms);
    bench.cx.out.extend_from_slice(b"\x81\x024x");
    peer.transmit(&mut bench.cx);
    let told = bench.cx.settings.ping_times();
    let mut settings = Settings::clone(&bench.cx.settings);
    (settings.ping_interval, settings.ping_timeout) = (1, 1);
    bench.cx.configure(Arc::new(settings));
    let limit = bench.cx.now_ms + told.silence_limit();
    assert_eq!(peer.stall_deadline(&bench.cx), limit);
    bench.pass(told.silence_limit() - 1);
    peer.on_timer(CONN, &mut bench.cx);
    assert!(!peer.finished);
    bench.pass(1);
    peer.on_timer(CONN, &mut bench.cx);
    assert!(peer.finished);
}

#[test]
fn an_idle_peer_is_small() {
    // Of 320 bytes that a reactor may spend on an idle agent; the others hold its timer and its id.
    assert!(size_of::<Peer>() <= 200, "{} bytes", size_of::<Peer>());
}
