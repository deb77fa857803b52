//! A time that may be missing, in the room of one that is not: an agent has several.

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
