//! The table of agents: who is known, on which connection, in which state. Pure: no thread, no socket, no clock; every
//! `now` is an argument, in milliseconds of the pool's clock.
//!
//! [`Fleet`] is one [`Agents`] (by id), one [`Connections`] (by number) and the [`Graces`] of those that are away or late.
//! It decides nothing: which state follows upon which is said by [`Tables`], which its owner has written, and it walks
//! them. A pair that a table does not have is an error that is counted ([`Fleet::missing_cells_total`]), never a panic.
//!
//! Ids come from the network: how many agents without a connection are remembered is bounded, and so are the bytes of
//! their configs.

#![forbid(unsafe_code)]

mod account;
mod address;
mod admission;
mod agent;
mod agents;
mod candidate;
mod changes;
mod connections;
mod delivery;
mod disconnects;
mod drain;
mod ends;
mod facets;
mod fleet;
mod forgetting;
mod grace;
mod heard;
mod introductions;
mod labels;
mod lines;
mod maybe;
mod natural;
mod needle;
mod new_entries;
mod notes;
mod outbox;
mod page;
mod phrases;
mod query;
mod recording;
mod resuming;
mod selection;
mod session;
mod sessions;
mod tables;
mod timeline;
mod timelines;
mod turn;
mod unsaved;
mod words;

pub use account::{DrainAccount, DrainCounts, Latencies};
pub use address::Address;
pub use admission::{Ack, Admission, Order};
pub use agent::{Agent, AgentKey};
pub use agents::{Agents, Restored};
pub use connections::{Connection, Connections, Counts, Unauthenticated, Who};
pub use disconnects::{Disconnect, Disconnects};
pub use ends::MAX_TEXT;
pub use facets::{Facets, FacetsScan, Label, States};
pub use fleet::{Fleet, Introduced, Introduction};
pub use grace::{Graces, Monitoring};
pub use heard::Reading;
pub use lines::{Level, Lines};
pub use new_entries::{EntriesRow, NewEntries};
pub use notes::{Arrival, Lost, Notes, Offline, Settled, Wants};
pub use outbox::Message;
pub use page::{Page, PageScan, Slots};
pub use query::{Query, Sort, Times, Value, rank};
pub use session::{KeptSession, Session};
pub use sessions::{OutboxBounds, Sessions};
pub use tables::{MissingCell, Step, TableError, Tables};
pub use timeline::{Entry, TIMELINE_LENGTH, Timeline};
pub use timelines::Timelines;
pub use turn::Applied;
pub use unsaved::{Changes, KeptState, Moment, Row, SeenRow};
pub use words::{Dialect, Grace, Input, Introducer, Reason, State};
