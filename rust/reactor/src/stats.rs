//! What a reactor counts. Plain numbers: whoever reads them gives them names and labels.

/// Counters since the start and gauges of one reactor, read in one go.
macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counters since the start (`…_total`) and gauges of one reactor.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64),*
        }

        impl Stats {
            /// Adds another reactor's figures to these.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// Every figure with its name.
            pub fn entries(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

stats! {
    /// WebSockets, those that are closing included.
    connections,
    /// WebSockets that are nobody yet.
    connections_unauthenticated,
    /// Sockets that speak HTTP, newcomers included.
    http_connections,
    /// Bytes that wait for sockets.
    outbox_bytes,
    /// Events that wait for Python.
    events_queued,
    /// Sockets accepted.
    accepted_total,
    /// Newcomers turned away: over the limit, draining, maintenance, no descriptor.
    refused_total,
    /// Accepts that failed, and pauses for want of descriptors or memory.
    accept_errors_total,
    /// Upgrades refused.
    handshake_failures_total,
    /// HTTP requests handed on.
    http_requests_total,
    /// WebSocket messages received.
    messages_received_total,
    /// WebSocket messages sent.
    messages_sent_total,
    /// Bytes received.
    bytes_received_total,
    /// Bytes sent.
    bytes_sent_total,
    /// Heartbeats answered.
    heartbeats_total,
    /// Intervals of silence.
    missed_heartbeats_total,
    /// `error` replies.
    errors_total,
    /// Connections closed for too many errors.
    too_many_errors_total,
    /// Connections that broke RFC 6455.
    protocol_errors_total,
    /// app_terminated whose request_id is unknown, repeated or another agent's.
    unmatched_acks_total,
    /// terminate_app sent.
    terminates_total,
    /// Transport pings sent.
    pings_total,
    /// Connections closed for silence.
    ping_timeouts_total,
    /// Connections closed because they did not read.
    slow_consumers_total,
    /// Times that reading stopped because Python was behind.
    reading_paused_total,
    /// Turns of the loop.
    turns_total,
}
