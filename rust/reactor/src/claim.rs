//! What one connection may ask of others when there is not enough for all: see [`crate::places`].

/// What a claim asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// A place.
    Place,
    /// A descriptor.
    Descriptor,
}
