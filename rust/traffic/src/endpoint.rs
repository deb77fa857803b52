//! Which dialect is spoken on a path, and whether by agents.

/// Who speaks on a path, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Agents and watchers, one JSON object a message (PROTOCOL.md, dialect raw).
    Raw,
    /// Agents and watchers, one Socket.IO event a message (PROTOCOL.md, dialect socketio).
    SocketIo,
    /// Bare WebSocket messages, handed over as they come.
    Plain,
    /// A WebSocket of the program's own app, on any other path: bare messages, handed over as far as they are asked for.
    Guest,
    /// Bare Engine.IO messages, handed over as they come.
    PlainEngineIo,
    /// Bare Socket.IO events, handed over as they come.
    PlainSocketIo,
}

impl Endpoint {
    const NAMES: [(Self, &'static str); 5] = [
        (Self::Raw, "raw"),
        (Self::SocketIo, "socketio"),
        (Self::Plain, "plain"),
        (Self::PlainEngineIo, "plain-engineio"),
        (Self::PlainSocketIo, "plain-socketio"),
    ];

    /// The endpoint of this name. None is a guest's: what has no endpoint is.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut names = Self::NAMES.into_iter();
        names
            .find(|(_, known)| *known == name)
            .map(|(endpoint, _)| endpoint)
    }

    /// Its name in a configuration.
    pub fn name(self) -> &'static str {
        let mut names = Self::NAMES.into_iter();
        names
            .find(|(endpoint, _)| *endpoint == self)
            .map_or("", |(_, name)| name)
    }

    /// Whether those who speak there are agents and watchers, of whom the core knows more than their messages.
    pub fn has_agents(self) -> bool {
        matches!(self, Self::Raw | Self::SocketIo)
    }

    /// Whether Engine.IO is spoken there: over polling too.
    pub fn speaks_engine_io(self) -> bool {
        !matches!(self, Self::Raw | Self::Plain | Self::Guest)
    }

    /// Whether Socket.IO is spoken there.
    pub fn speaks_socket_io(self) -> bool {
        matches!(self, Self::SocketIo | Self::PlainSocketIo)
    }
}
