//! Sans-I/O codecs and state machines of dscore: no sockets, threads, clocks, logging or Python.
pub mod agent;
pub mod close;
pub mod connection;
pub mod error;
pub mod frame;
pub mod handshake;
pub mod http;
pub mod mask;
pub mod message;
pub mod utf8;
