//! What a reactor counts. Plain numbers: what exports them gives them names and labels.

use dscore_proto::engineio::HandshakeError;

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
    /// Unauthenticated WebSockets.
    connections_unauthenticated,
    /// WebSockets of the program's own app, those that are closing included: they are none of the former.
    guest_websockets,
    /// Sockets that speak HTTP, those just accepted included.
    http_connections,
    /// Connections that have a place: sockets, and sessions that poll.
    places_taken,
    /// Connections that came when all places were taken, and have none.
    places_short,
    /// Those with a place that would give it up to an agent.
    places_yielding,
    /// 1 while so few descriptors are left that no agent is let in.
    descriptors_short,
    /// Sessions that poll and have not introduced themselves.
    polling_unauthenticated,
    /// Upgrades and Engine.IO openings that wait for their turn.
    upgrades_waiting,
    /// Bytes that wait for sockets.
    outbox_bytes,
    /// Memory that those cost: a chunk is kept until it is sent whole, one that many wait for is there once.
    output_bytes,
    /// Bytes held of messages and requests that have not come whole, or whose answer is not complete.
    input_bytes,
    /// Events that wait for Python.
    events_queued,
    /// Bytes of what peers said in them.
    events_queued_bytes,
    /// WebSockets of the program's own app.
    guest_websockets_total,
    /// Sockets accepted.
    accepted_total,
    /// Connections turned away: over the limit, draining, maintenance, no descriptor.
    refused_total,
    /// WebSockets and sessions turned away because their address has as many as one may have.
    address_connections_refused_total,
    /// Introductions turned away because their address has introduced itself as often as one may.
    address_introductions_refused_total,
    /// Connections that gave up their place, or their descriptor, to others.
    yielded_total,
    /// Accepts that failed, and pauses for want of descriptors or memory.
    accept_errors_total,
    /// Upgrades and Engine.IO openings that had to wait for their turn.
    upgrades_delayed_total,
    /// Upgrades refused.
    handshake_failures_total,
    /// Requests to Engine.IO endpoints that were refused: no such transport, or not allowed.
    engineio_refused_unknown_transport_total,
    /// No such session, or none any more.
    engineio_refused_unknown_sid_total,
    /// A session that was to begin with something else than a GET.
    engineio_refused_bad_method_total,
    /// Of no use to the session.
    engineio_refused_bad_request_total,
    /// Of a page whose origin is not let in.
    engineio_refused_forbidden_total,
    /// A revision that is not spoken here, or not allowed.
    engineio_refused_unsupported_version_total,
    /// HTTP connections ended because they did not read.
    http_responses_stalled_total,
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
    /// Heartbeats, but for the first of each connection, at most 10 ms after they were due.
    heartbeats_late_10_ms_total,
    /// More than that, at most 100 ms.
    heartbeats_late_100_ms_total,
    /// More than that, at most 1 s.
    heartbeats_late_1000_ms_total,
    /// More than that, at most 5 s.
    heartbeats_late_5000_ms_total,
    /// More than that, at most 15 s.
    heartbeats_late_15000_ms_total,
    /// More than that, at most 60 s.
    heartbeats_late_60000_ms_total,
    /// More than that.
    heartbeats_late_more_total,
    /// How late all of them were together, ms.
    heartbeats_late_sum_ms_total,
    /// Pings that were answered within 1 ms.
    round_trips_1_ms_total,
    /// More than that, at most 5 ms.
    round_trips_5_ms_total,
    /// More than that, at most 20 ms.
    round_trips_20_ms_total,
    /// More than that, at most 100 ms.
    round_trips_100_ms_total,
    /// More than that, at most 500 ms.
    round_trips_500_ms_total,
    /// More than that, at most 2 s.
    round_trips_2000_ms_total,
    /// More than that.
    round_trips_more_total,
    /// How long all of them took together, us.
    round_trips_sum_us_total,
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
    /// Peers that speak TLS.
    tls_connections,
    /// Sockets whose TLS handshake, or PROXY header, is under way.
    tls_handshakes_running,
    /// Those among them that wait for their turn.
    tls_handshakes_waiting,
    /// TLS handshakes that led to a connection.
    tls_handshakes_total,
    /// Those among them of clients that were known from before.
    tls_handshakes_resumed_total,
    /// TLS handshakes that led to none: the client speaks no TLS.
    tls_refused_plaintext_total,
    /// No TLS 1.3.
    tls_refused_version_total,
    /// No cipher, group, signature or protocol that is ours.
    tls_refused_incompatible_total,
    /// Its certificate is missing, or not good.
    tls_refused_certificate_total,
    /// It refused our certificate, or gave up.
    tls_refused_by_client_total,
    /// It broke the protocol.
    tls_refused_invalid_total,
    /// It was not done in time.
    tls_refused_timeout_total,
    /// It left in the middle.
    tls_refused_gone_total,
    /// It said nothing while others wanted its place.
    tls_refused_crowded_total,
    /// TLS connections that ended without a close_notify.
    tls_truncated_total,
    /// TLS connections that ended with a record which was touched on its way, or broke the protocol.
    tls_records_invalid_total,
    /// Connections of trusted proxies without a good PROXY header.
    proxy_headers_invalid_total,
    /// Connections without TLS from where it is asked for.
    plain_refused_total,
    /// Turns of the loop.
    turns_total,
}

impl Stats {
    /// Counts a request that an Engine.IO endpoint has refused.
    pub(crate) fn count_refusal(&mut self, error: HandshakeError) {
        *match error {
            HandshakeError::UnknownTransport => &mut self.engineio_refused_unknown_transport_total,
            HandshakeError::UnknownSid => &mut self.engineio_refused_unknown_sid_total,
            HandshakeError::BadMethod => &mut self.engineio_refused_bad_method_total,
            HandshakeError::BadRequest => &mut self.engineio_refused_bad_request_total,
            HandshakeError::Forbidden(_) => &mut self.engineio_refused_forbidden_total,
            HandshakeError::UnsupportedVersion => {
                &mut self.engineio_refused_unsupported_version_total
            }
        } += 1;
    }

    /// Counts a heartbeat that came so long after it was due.
    pub(crate) fn count_lateness(&mut self, late_ms: u64) {
        self.heartbeats_late_sum_ms_total += late_ms;
        *match late_ms {
            0..=10 => &mut self.heartbeats_late_10_ms_total,
            11..=100 => &mut self.heartbeats_late_100_ms_total,
            101..=1_000 => &mut self.heartbeats_late_1000_ms_total,
            1_001..=5_000 => &mut self.heartbeats_late_5000_ms_total,
            5_001..=15_000 => &mut self.heartbeats_late_15000_ms_total,
            15_001..=60_000 => &mut self.heartbeats_late_60000_ms_total,
            _ => &mut self.heartbeats_late_more_total,
        } += 1;
    }

    /// Counts a ping that was answered after so long.
    pub(crate) fn count_round_trip(&mut self, us: u64) {
        self.round_trips_sum_us_total += us;
        *match us {
            0..=1_000 => &mut self.round_trips_1_ms_total,
            1_001..=5_000 => &mut self.round_trips_5_ms_total,
            5_001..=20_000 => &mut self.round_trips_20_ms_total,
            20_001..=100_000 => &mut self.round_trips_100_ms_total,
            100_001..=500_000 => &mut self.round_trips_500_ms_total,
            500_001..=2_000_000 => &mut self.round_trips_2000_ms_total,
            _ => &mut self.round_trips_more_total,
        } += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(stats: &Stats, prefix: &str) -> Vec<u64> {
        let entries = stats.entries().into_iter();
        entries
            .filter(|(name, _)| name.starts_with(prefix) && !name.contains("sum"))
            .map(|(_, count)| count)
            .collect()
    }

    #[test]
    fn lateness_falls_into_the_bucket_whose_bound_it_does_not_pass() {
        let mut stats = Stats::default();
        let edges = [
            0, 10, 11, 100, 101, 1_000, 5_000, 15_000, 60_000, 60_001, 900_000,
        ];
        for late_ms in edges {
            stats.count_lateness(late_ms);
        }
        assert_eq!(buckets(&stats, "heartbeats_late_"), [2, 2, 2, 1, 1, 1, 2]);
        assert_eq!(
            stats.heartbeats_late_sum_ms_total,
            edges.iter().sum::<u64>()
        );
    }

    #[test]
    fn a_round_trip_falls_into_the_bucket_whose_bound_it_does_not_pass() {
        let mut stats = Stats::default();
        let edges = [
            0, 1_000, 1_001, 5_000, 5_001, 20_001, 100_000, 100_001, 500_001, 2_000_000, 2_000_001,
        ];
        for us in edges {
            stats.count_round_trip(us);
        }
        assert_eq!(buckets(&stats, "round_trips_"), [2, 2, 1, 2, 1, 2, 1]);
        assert_eq!(stats.round_trips_sum_us_total, edges.iter().sum::<u64>());
    }
}
