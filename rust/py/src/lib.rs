//! The extension module `dscore._core`: its export list, nothing else.

#![allow(
    missing_docs,
    reason = "the boundary is documented once, in python/dscore/_core.pyi"
)]

mod changes;
mod classes;
mod config;
mod errors;
mod events;
mod facets;
mod fleet;
mod fleet_connections;
mod fleet_drain;
mod fleet_events;
mod fleet_sessions;
mod fleet_store;
mod inbox;
mod made;
mod notes;
mod orders;
mod origins;
mod outgoing;
mod pool;
mod pool_guest;
mod pool_messages;
mod pool_tls;
mod row;
mod scan;
mod stats;
mod tls;
mod wheel;
mod words;

use pyo3::prelude::*;

#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::changes::Changes;
    #[pymodule_export]
    use crate::classes::{
        AddressRefused, Beat, BodyPart, Closed, Connected, Drained, Gap, GuestClosed, GuestMessage,
        HttpGone, HttpRequest, Introduction, LastSeen, Left, Looked, Message, Missed, Opened,
        Outcome, Progress, RefusedCertificate, Reply, TerminationRefused, TlsRefused,
    };
    #[pymodule_export]
    use crate::config::CoreConfig;
    #[pymodule_export]
    use crate::fleet::{Fleet, Introduced};
    #[pymodule_export]
    use crate::fleet_connections::Unauthenticated;
    #[pymodule_export]
    use crate::inbox::Inbox;
    #[pymodule_export]
    use crate::notes::Notes;
    #[pymodule_export]
    use crate::origins::OriginRules;
    #[pymodule_export]
    use crate::pool::ReactorPool;
    #[pymodule_export]
    use crate::row::AgentRow;
    #[pymodule_export]
    use crate::scan::{ConnectedScan, FacetsScan, PageScan, StatusScan};
    #[pymodule_export]
    use crate::stats::Stats;
    #[pymodule_export]
    use crate::tls::TlsConfig;
    #[pymodule_export]
    use crate::wheel::Wheel;

    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("MAX_TEXT", dscore_fleet::MAX_TEXT)?;
        let profile = if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        };
        module.add("build_profile", profile)?;
        crate::errors::add_to(module)
    }
}
