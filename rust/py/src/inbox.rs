//! `Inbox`: events on their way from the reactors into the fleet. Documented in `_core.pyi`.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dscore_fleet::{Applied, Fleet, Order};
use dscore_traffic::event::Event;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use crate::events;
use crate::made::{self, Waiting};
use crate::orders::{self, Acks};
use crate::pool::ReactorPool;

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Of what peers said; counted since nothing waited.
    bytes: u64,
}

#[pyclass(frozen, module = "dscore._core")]
pub(crate) struct Inbox {
    source: Py<PyAny>,
    urgent: Py<PyTuple>,
    queue: Mutex<Queue>,
}

#[pymethods]
impl Inbox {
    #[new]
    fn new(py: Python<'_>, source: Py<PyAny>, urgent: Vec<Py<PyType>>) -> PyResult<Self> {
        Ok(Self {
            source,
            urgent: PyTuple::new(py, urgent)?.unbind(),
            queue: Mutex::default(),
        })
    }

    fn take(&self, py: Python<'_>, limit: usize) -> PyResult<(usize, Vec<Py<PyAny>>)> {
        let (taken, bytes) = self.batch(py, limit)?;
        let (count, mut urgent) = (taken.len(), Vec::new());
        let mut later = Vec::with_capacity(count);
        for one in taken {
            match one {
                Waiting::Python(event) if event.bind(py).is_instance(self.urgent.bind(py))? => {
                    urgent.push(event);
                }
                other => later.push(other),
            }
        }
        let mut queue = self.lock();
        if !later.is_empty() {
            queue.bytes += bytes;
        }
        queue.waiting.extend(later);
        Ok((count, urgent))
    }

    fn clear(&self) {
        let cleared = std::mem::take(&mut *self.lock());
        drop(cleared);
    }

    #[getter]
    fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    fn __len__(&self) -> usize {
        self.lock().waiting.len()
    }
}

impl Inbox {
    /// Applies what waits, `limit` events at most, until notes are to be taken or one is Python's. Returns how many were
    /// taken, that one included.
    pub(crate) fn step(
        &self,
        fleet: &mut Fleet,
        limit: usize,
        now: i64,
    ) -> (usize, Option<Waiting>) {
        let mut queue = self.lock();
        let mut taken = 0;
        while taken < limit
            && let Some(one) = queue.waiting.pop_front()
        {
            taken += 1;
            if queue.waiting.is_empty() {
                queue.bytes = 0;
            }
            match one {
                Waiting::Own(event) => match fleet.apply(event, now) {
                    Applied::Done => {}
                    Applied::Noted => return (taken, None),
                    Applied::Asked(event) => return (taken, Some(Waiting::Own(event))),
                },
                asked => return (taken, Some(asked)),
            }
        }
        (taken, None)
    }

    /// Gives the reactors what the fleet has to say to them.
    pub(crate) fn give(&self, py: Python<'_>, orders: Vec<Order>, acks: &Acks) -> PyResult<()> {
        let source = self.source.bind(py);
        match source.cast::<ReactorPool>() {
            Ok(pool) => orders::give(py, pool.get(), orders, acks),
            Err(_) => orders::play(source, orders, acks)?,
        }
        Ok(())
    }

    /// The next events, and the bytes of what peers said in them.
    fn batch(&self, py: Python<'_>, limit: usize) -> PyResult<(Vec<Waiting>, u64)> {
        let source = self.source.bind(py);
        if let Ok(pool) = source.cast::<ReactorPool>() {
            let pool = pool.get();
            let batch = pool.batch(limit)?;
            let waiting = batch.into_iter().map(|event| sorted(py, event));
            return Ok((waiting.collect::<PyResult<_>>()?, pool.taken_bytes()));
        }
        let batch = source.call_method1("take", (limit,))?;
        let waiting = batch.try_iter()?.map(|event| made::waiting(&event?));
        let waiting = waiting.collect::<PyResult<_>>()?;
        Ok((waiting, source.call_method0("taken_bytes")?.extract()?))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sorted(py: Python<'_>, event: Event) -> PyResult<Waiting> {
    if Fleet::applies(&event) {
        return Ok(Waiting::Own(event));
    }
    Ok(Waiting::Python(events::convert(py, event)?.unbind()))
}
