//! What the tests at the foot of several modules share: a context without sockets, and the tables of module comments.

mod rows;

use std::sync::Arc;
use std::time::SystemTime;

use dscore_proto::connection::Limits;
use dscore_proto::forwarded::TrustedProxies;
use dscore_proto::frame;
use dscore_proto::origin::OriginRules;
use dscore_traffic::event::Event;
use dscore_traffic::{ConnId, Endpoint};
use rtrb::{Consumer, RingBuffer};

use crate::context::Context;
use crate::queue::{Entry, EventSender, Sleeper};
use crate::settings::{GuestSettings, Settings};

pub(crate) use rows::table_rows;

pub(crate) const CONN: ConnId = ConnId::from_u64(1);

/// A context at 1 s, and where its events come out.
pub(crate) struct Bench {
    pub(crate) cx: Context,
    events: Consumer<Entry>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let (producer, events) = RingBuffer::new(64);
        #[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
        let reader = Arc::new(Sleeper::new(false).unwrap());
        let sender = EventSender::new(producer, reader, Arc::default());
        let mut cx = Context::new(Arc::new(settings()), sender);
        cx.set_time(1_000_000, || SystemTime::UNIX_EPOCH);
        cx.set_now(1_000_000);
        Self { cx, events }
    }

    /// Lets so many milliseconds pass.
    pub(crate) fn pass(&mut self, ms: u64) {
        let (pool_ms, now_us) = (self.cx.pool_ms + ms, self.cx.now_us + ms * 1_000);
        self.cx.set_time(pool_ms * 1_000, || SystemTime::UNIX_EPOCH);
        self.cx.set_now(now_us);
    }

    /// What was told since the last call, fences left out.
    pub(crate) fn told(&mut self) -> Vec<Event> {
        let entries = std::iter::from_fn(|| self.events.pop().ok());
        entries
            .filter_map(|entry| match entry {
                Entry::Event(event) => Some(event),
                Entry::Fence(_) => None,
            })
            .collect()
    }

    /// What was written since the last call.
    pub(crate) fn written(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.cx.out)).into_owned()
    }

    /// What was written since the last call, as the payloads of its frames.
    pub(crate) fn said(&mut self) -> Vec<String> {
        let out = std::mem::take(&mut self.cx.out);
        let (mut said, mut rest) = (Vec::new(), &out[..]);
        while let Ok(Some((header, at))) = frame::decode_header(rest) {
            let (payload, behind) = rest[at..].split_at(header.len as usize);
            said.push(String::from_utf8_lossy(payload).into_owned());
            rest = behind;
        }
        assert!(rest.is_empty(), "no whole frame: {rest:?}");
        said
    }
}

fn settings() -> Settings {
    Settings {
        endpoints: vec![
            ("/ws".into(), Endpoint::Raw),
            ("/engine.io/".into(), Endpoint::PlainEngineIo),
        ],
        origins: OriginRules::default(),
        trusted_proxies: TrustedProxies::default(),
        check_host: false,
        subprotocols: vec![],
        messages: Limits {
            max_message_size: 1_000,
            max_fragments: 4,
        },
        max_header_size: 1_000,
        max_body_size: 1_000,
        guest: GuestSettings::default(),
        max_connections: 10,
        accept_rate: 0.0,
        connections_per_address: 0,
        introductions_per_address: 0,
        max_errors: 100,
        outbox_bytes: 1_000,
        output_bytes: 64 << 20,
        input_bytes: 1_000_000,
        handshake_timeout: 1_000,
        auth_timeout: 1_000,
        keep_alive_timeout: 1_000,
        ping_interval: 1_000,
        ping_timeout: 1_000,
        connect_timeout: 500,
        polling: true,
        websocket: true,
        allow_eio3: true,
        hsts_s: 0,
        cors_methods: vec!["GET".into(), "POST".into()],
        namespaces: vec!["/custom".into()],
        close_timeout: 100,
        next_heartbeat_in: 1_000,
        connection_check_interval: 1_000,
        offline_timeout: 1_000,
        heartbeat_message: String::new(),
        introduce_by_heartbeat: true,
        introductions_are_judged: false,
    }
}
