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
        let (mut urgent, mut later) = (Vec::new(), Vec::new());
        let sort = |waiting: Waiting| -> PyResult<()> {
            match waiting {
                Waiting::Python(event) if event.bind(py).is_instance(self.urgent.bind(py))? => {
                    urgent.push(event);
                }
                waiting => later.push(waiting),
            }
            Ok(())
        };
        let bytes = self.each(py, limit, sort)?;
        let count = urgent.len() + later.len();
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

    /// Sorts the next events. Returns the bytes of what peers said in them.
    fn each(
        &self,
        py: Python<'_>,
        limit: usize,
        mut sort: impl FnMut(Waiting) -> PyResult<()>,
    ) -> PyResult<u64> {
        let source = self.source.bind(py);
        if let Ok(pool) = source.cast::<ReactorPool>() {
            let pool = pool.get();
            for event in pool.batch(limit)? {
                sort(waiting(py, event)?)?;
            }
            return Ok(pool.taken_bytes());
        }
        let batch = source.call_method1("take", (limit,))?;
        for event in batch.try_iter()? {
            sort(made::waiting(&event?)?)?;
        }
        source.call_method0("taken_bytes")?.extract()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn waiting(py: Python<'_>, event: Event) -> PyResult<Waiting> {
    if Fleet::applies(&event) {
        return Ok(Waiting::Own(event));
    }
    Ok(Waiting::Python(events::convert(py, event)?.unbind()))
}
