//! The words of the tables, one enum each, with the names that Python and the wire have for them.

/// An enum whose variants have names outside.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$one:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$one])* $variant),* }

        impl $name {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The one of this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Its name outside.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),*
                }
            }
        }
    };
}

words!(
    /// The state of an agent; `policy/liveness.py` says what each means.
    State {
        /// It has a connection, and beats.
        Connected = "connected",
        /// It has a connection, and has missed too many heartbeats; the grace of its heartbeat runs.
        Late = "late",
        /// It was sent terminate_app.
        Terminating = "terminating",
        /// It has lost its connection, and has time to come back.
        Reconnecting = "reconnecting",
        /// An earlier process knew it as online; it has time to come back.
        Unknown = "unknown",
        /// It is offline, with a connection or without.
        Offline = "offline",
        /// It stopped when it was asked to.
        Terminated = "terminated",
    }
);

impl State {
    /// Whether watchers are told "online".
    pub fn is_online(self) -> bool {
        !matches!(self, Self::Offline | Self::Terminated)
    }

    /// What watchers are told.
    pub fn status(self) -> &'static str {
        if self.is_online() {
            "online"
        } else {
            "offline"
        }
    }
}

words!(
    /// What happens to an agent: a column of the liveness table.
    Input {
        /// A connection of this agent was let in.
        Introduced = "introduced",
        /// A sign of life after misses.
        Beat = "beat",
        /// Silent for an interval, and not yet for too many.
        Missed = "missed",
        /// Silent for that many.
        MissedLimit = "missed_limit",
        /// Its connection has ended.
        Lost = "lost",
        /// Its connection was closed at `offline_timeout`.
        TimedOut = "timed_out",
        /// Its grace period has run out.
        GraceOver = "grace_over",
        /// It was sent terminate_app.
        TerminateSent = "terminate_sent",
        /// It did not stop, and is not waited for any more.
        TerminateOver = "terminate_over",
        /// It stopped.
        Terminated = "terminated",
        /// An operator has removed it.
        Removed = "removed",
        /// The server has started, and an earlier process knew it.
        Restored = "restored",
    }
);

words!(
    /// What becomes of a grace period in a step.
    Grace {
        /// Nothing.
        Keep = "keep",
        /// It ends.
        Cancel = "cancel",
        /// That of a heartbeat begins.
        Heartbeat = "heartbeat",
        /// That of a reconnection begins, or the rest of the heartbeat's if that is longer.
        Reconnection = "reconnection",
        /// That of a reconnection begins.
        Boot = "boot",
    }
);

words!(
    /// Why an agent is offline: a `reason_code` of PROTOCOL.md §4.
    Reason {
        /// Its grace ran out before it came back.
        ReconnectTimeout = "reconnect_timeout",
        /// It was silent for `offline_timeout`.
        HeartbeatTimeout = "heartbeat_timeout",
        /// It missed heartbeats, and the grace of the last one ran out.
        MissedHeartbeats = "missed_heartbeats",
        /// It never sent a heartbeat, and did not come back after a start.
        NoConnection = "no_connection",
        /// It stopped when asked.
        Terminated = "terminated",
        /// Another connection of the same agent.
        TakenOver = "taken_over",
        /// The server stops.
        Shutdown = "shutdown",
        /// It answered no ping.
        PingTimeout = "ping_timeout",
        /// It broke the protocol.
        ProtocolError = "protocol_error",
        /// It did not read.
        SlowConsumer = "slow_consumer",
        /// An operator has removed it.
        Operator = "operator",
    }
);

words!(
    /// The `type` of the message that introduced an agent last.
    #[derive(Default)]
    Introducer {
        /// None is known.
        #[default]
        None = "",
        /// The DeepStream contract's own.
        AppReady = "app_ready",
        /// A notice.
        Heartbeat = "heartbeat",
        /// A notice of one that comes back.
        ReconnectionSuccess = "reconnection_success",
    }
);

words!(
    /// What a connection speaks.
    Dialect {
        /// The DeepStream contract's: JSON over a plain WebSocket.
        Raw = "raw",
        /// The Socket.IO contract's.
        Socketio = "socketio",
    }
);
