//! The timing wheel, offered to Python for what has no connection.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dscore_wheel::{self as wheel, Key};
use pyo3::prelude::*;
use pyo3::types::PyType;

#[pyclass(frozen, module = "dscore._core")]
pub(crate) struct Wheel {
    inner: Mutex<Inner>,
}

/// The wheel fires names; the values wait here, where a key that was handed out finds them or misses.
struct Inner {
    wheel: wheel::Wheel<u64>,
    armed: HashMap<u64, (Key, Py<PyAny>)>,
    last_key: u64,
}

#[pymethods]
impl Wheel {
    #[new]
    fn new(now_ms: u64) -> Self {
        let inner = Inner {
            wheel: wheel::Wheel::new(now_ms),
            armed: HashMap::new(),
            last_key: 0,
        };
        Self {
            inner: Mutex::new(inner),
        }
    }

    #[classmethod]
    fn __class_getitem__<'py>(
        class: &Bound<'py, PyType>,
        _item: &Bound<'py, PyAny>,
    ) -> Bound<'py, PyType> {
        class.clone()
    }

    fn arm(&self, deadline_ms: u64, value: Py<PyAny>) -> u64 {
        let inner = &mut *self.lock();
        inner.last_key += 1;
        let name = inner.last_key;
        let key = inner.wheel.arm(deadline_ms, name);
        inner.armed.insert(name, (key, value));
        name
    }

    fn cancel(&self, key: u64) -> Option<Py<PyAny>> {
        let inner = &mut *self.lock();
        let (armed, value) = inner.armed.remove(&key)?;
        inner.wheel.cancel(armed);
        Some(value)
    }

    fn next_expiration(&self) -> Option<u64> {
        self.lock().wheel.next_expiration()
    }

    fn advance(&self, now_ms: u64) -> Vec<Py<PyAny>> {
        let inner = &mut *self.lock();
        inner.wheel.advance(now_ms);
        let mut expired = Vec::new();
        while let Some((_, name)) = inner.wheel.pop_expired() {
            expired.extend(inner.armed.remove(&name).map(|(_, value)| value));
        }
        expired
    }

    fn __len__(&self) -> usize {
        self.lock().armed.len()
    }
}

impl Wheel {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
