//! Reactors of dscore.
