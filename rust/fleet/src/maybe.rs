//! Values that may be missing, in the room of one that is not: an agent has several.

use dscore_traffic::ConnId;

/// Milliseconds, or nothing. The earliest time that there is stands for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MaybeMs(i64);

impl MaybeMs {
    pub(crate) const NONE: Self = Self(i64::MIN);

    pub(crate) fn get(self) -> Option<i64> {
        (self != Self::NONE).then_some(self.0)
    }
}

impl From<i64> for MaybeMs {
    fn from(ms: i64) -> Self {
        Self(ms)
    }
}

impl From<Option<i64>> for MaybeMs {
    fn from(ms: Option<i64>) -> Self {
        ms.map_or(Self::NONE, Self)
    }
}

/// A connection, or none. The last id of the last reactor, which no pool gets to, stands for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MaybeConn(ConnId);

impl MaybeConn {
    pub(crate) const NONE: Self = Self(ConnId::from_u64(u64::MAX));

    pub(crate) fn get(self) -> Option<ConnId> {
        (self != Self::NONE).then_some(self.0)
    }

    /// Puts a connection there, and returns the one that was there.
    pub(crate) fn replace(&mut self, conn: ConnId) -> Option<ConnId> {
        std::mem::replace(self, Self(conn)).get()
    }
}
