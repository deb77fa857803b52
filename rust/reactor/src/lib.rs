//! The reactors of dscore: threads that own every socket.
pub mod outbox;
pub mod table;
pub mod wheel;
