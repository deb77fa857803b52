//! What the core itself reads of an agent's message: its `type`, and the few fields the core acts
//! on.
//!
//! One pass over the text checks that it is a JSON object and remembers where those fields lie;
//! each is checked when it is asked for. Everything else is passed over unparsed: it is policy's. A
//! name given twice counts as its last value, as it does for the parser on the other side of the
//! boundary.

mod encode;
mod fields;
mod flat;
mod heartbeat;
mod plain;
mod refusal;
mod scan;

pub use encode::{
    TERMINATE_HEAD, encode_connection_check, encode_error, encode_heartbeat_response,
    encode_string, encode_terminate_tail,
};
pub use heartbeat::is_heartbeat_of;
pub use plain::{IntroducedBy, PlainIntroduction};
pub use refusal::{Refusal, RefusalCode};
pub use scan::{Kind, MAX_AGENT_ID, Scanned, scan};
