//! The figures of a pool, as Python sees them. Documented in `_core.pyi`.

use std::collections::BTreeMap;

use pyo3::prelude::*;

#[pyclass(frozen, module = "dscore._core")]
pub(crate) struct Stats {
    stats: dscore_reactor::Stats,
}

impl Stats {
    pub(crate) fn new(stats: dscore_reactor::Stats) -> Self {
        Self { stats }
    }
}

#[pymethods]
impl Stats {
    fn as_dict(&self) -> BTreeMap<&'static str, u64> {
        self.stats.entries().into_iter().collect()
    }
}
