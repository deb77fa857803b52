//! `ReactorPool`: convert, call, map the error. Documented in `_core.pyi`.

use dscore_proto::agent::{self, RefusalCode};
use dscore_proto::frame::Opcode;
use dscore_traffic::ConnId;
use dscore_traffic::command::{
    Command, ReactorCommand, Response, ResponsePart, ServingState, TerminateAll,
};
use dscore_traffic::event::Event;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::config::CoreConfig;
use crate::errors::{self, CoreError, ForkedError};
use crate::events;
use crate::outgoing::{self, close_frame, framed, frames};
use crate::stats::Stats;
use crate::tls::TlsConfig;

#[pyclass(frozen, module = "dscore._core")]
pub(crate) struct ReactorPool {
    pool: dscore_reactor::ReactorPool,
    owner: u32,
}

#[pymethods]
impl ReactorPool {
    #[new]
    #[pyo3(signature = (config, tls = None))]
    fn new(py: Python<'_>, config: &CoreConfig, tls: Option<&TlsConfig>) -> PyResult<Self> {
        let listen = config.listen(tls.map(|tls| &tls.config));
        let pool = dscore_reactor::ReactorPool::new(&listen, config.settings.clone())
            .map_err(|failed| errors::bind_error(py, &failed.address.to_string(), &failed.error))?;
        Ok(Self {
            pool,
            owner: std::process::id(),
        })
    }

    fn start(&self) -> PyResult<()> {
        self.own()?
            .start()
            .map_err(|error| CoreError::new_err(format!("cannot start a reactor thread: {error}")))
    }

    fn fileno(&self) -> PyResult<i32> {
        self.own()?
            .event_fd()
            .ok_or_else(|| errors::stopped(dscore_reactor::Stopped))
    }

    fn address(&self) -> (String, u16) {
        let address = self.pool.address();
        (address.ip().to_string(), address.port())
    }

    #[pyo3(signature = (limit = 1024))]
    fn take<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyList>> {
        events::to_python(py, self.batch(limit)?)
    }

    pub(crate) fn taken_bytes(&self) -> u64 {
        self.pool.taken_bytes()
    }

    fn now_ms(&self) -> u64 {
        self.pool.now_ms()
    }

    #[pyo3(signature = (conn, agent_id, replies = vec![], *, notice_only = false))]
    fn accept(
        &self,
        py: Python<'_>,
        conn: u64,
        agent_id: &str,
        replies: Vec<Vec<u8>>,
        notice_only: bool,
    ) -> PyResult<()> {
        let replies = frames(&replies)?;
        self.give(
            py,
            conn,
            Command::Accept {
                agent_id: agent_id.into(),
                replies,
                notice_only,
            },
        )
    }

    #[pyo3(signature = (conn, replies = vec![]))]
    fn accept_watcher(&self, py: Python<'_>, conn: u64, replies: Vec<Vec<u8>>) -> PyResult<()> {
        self.give(
            py,
            conn,
            Command::AcceptWatcher {
                replies: frames(&replies)?,
            },
        )
    }

    fn lift_deadline(&self, py: Python<'_>, conn: u64) -> PyResult<()> {
        self.give(py, conn, Command::LiftDeadline)
    }

    #[pyo3(signature = (conn, code, message, request_type = None))]
    fn refuse(
        &self,
        py: Python<'_>,
        conn: u64,
        code: &str,
        message: &str,
        request_type: Option<&str>,
    ) -> PyResult<()> {
        let code = RefusalCode::from_name(code).ok_or_else(|| {
            PyValueError::new_err(format!("code: {code:?} is no error code of the protocol"))
        })?;
        let mut text = Vec::new();
        agent::encode_error(code, message, request_type, &mut text);
        self.give(
            py,
            conn,
            Command::Refuse {
                frame: framed(Opcode::Text, &text),
            },
        )
    }

    #[pyo3(signature = (conn, code, reason, cause = ""))]
    fn close_connection(
        &self,
        py: Python<'_>,
        conn: u64,
        code: u16,
        reason: &str,
        cause: &str,
    ) -> PyResult<()> {
        self.give(
            py,
            conn,
            Command::Close(Box::new(close_frame(code, reason, cause)?)),
        )
    }

    #[pyo3(signature = (code, reason, cause = "", *, spread_ms = 0, spare_watchers = false))]
    fn close_all(
        &self,
        py: Python<'_>,
        code: u16,
        reason: &str,
        cause: &str,
        spread_ms: u64,
        spare_watchers: bool,
    ) -> PyResult<()> {
        let close_frame = close_frame(code, reason, cause)?;
        self.give_all(py, || ReactorCommand::CloseAll {
            close_frame: Box::new(close_frame.clone()),
            spread_ms,
            spare_watchers,
        })
    }

    fn hear_next_beat(&self, py: Python<'_>, conn: u64) -> PyResult<()> {
        self.give(py, conn, Command::HearNextBeat)
    }

    #[pyo3(signature = (conn, timeout_ms, reason = "Server shutting down", *, max_extension_ms = 0))]
    fn terminate(
        &self,
        py: Python<'_>,
        conn: u64,
        timeout_ms: u64,
        reason: &str,
        max_extension_ms: u64,
    ) -> PyResult<String> {
        let pool = self.own()?;
        let request = py
            .detach(|| pool.terminate(ConnId::from_u64(conn), timeout_ms, max_extension_ms, reason))
            .map_err(errors::stopped)?;
        Ok(request.to_string())
    }

    #[pyo3(signature = (timeout_ms, notice_ms, max_extension_ms, reason = "Server shutting down"))]
    fn terminate_all(
        &self,
        py: Python<'_>,
        timeout_ms: u64,
        notice_ms: u64,
        max_extension_ms: u64,
        reason: &str,
    ) -> PyResult<()> {
        let order = TerminateAll {
            timeout_ms,
            notice_ms,
            max_extension_ms,
            reason: reason.into(),
        };
        self.give_all(py, || ReactorCommand::TerminateAll(Box::new(order.clone())))
    }

    fn set_serving_state(&self, py: Python<'_>, serving: &str) -> PyResult<()> {
        let serving = match serving {
            "open" => ServingState::Open,
            "draining" => ServingState::Draining,
            "maintenance" => ServingState::Maintenance,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "serving: {serving:?} is not open, draining or maintenance"
                )));
            }
        };
        self.give_all(py, || ReactorCommand::SetServingState(serving))
    }

    #[pyo3(signature = (conn, status, headers, body, *, more = false, notify = false))]
    #[expect(clippy::too_many_arguments, reason = "the parts of a response")]
    fn respond(
        &self,
        py: Python<'_>,
        conn: u64,
        status: u16,
        headers: Vec<(Vec<u8>, Vec<u8>)>,
        body: Vec<u8>,
        more: bool,
        notify: bool,
    ) -> PyResult<()> {
        let response = Box::new(Response {
            status,
            headers,
            body,
            more,
            notify,
        });
        self.give(py, conn, Command::Respond(response))
    }

    #[pyo3(signature = (conn, body, *, more, notify = false))]
    fn respond_more(
        &self,
        py: Python<'_>,
        conn: u64,
        body: Vec<u8>,
        more: bool,
        notify: bool,
    ) -> PyResult<()> {
        self.give(
            py,
            conn,
            Command::RespondMore(ResponsePart { body, more, notify }),
        )
    }

    fn abort(&self, py: Python<'_>, conn: u64) -> PyResult<()> {
        self.give(py, conn, Command::Abort)
    }

    #[pyo3(signature = (number = 0, conns = None))]
    fn read_last_seen(&self, py: Python<'_>, number: u64, conns: Option<Vec<u64>>) -> PyResult<()> {
        self.give_all(py, outgoing::read_last_seen(number, conns))
    }

    fn look(&self, py: Python<'_>, number: u64) -> PyResult<usize> {
        self.give_all(py, || ReactorCommand::Look(number))?;
        Ok(self.pool.reactors())
    }

    fn configure(&self, py: Python<'_>, config: &CoreConfig) -> PyResult<()> {
        let (pool, settings) = (self.own()?, config.settings.clone());
        py.detach(|| pool.configure(settings))
            .map_err(errors::stopped)
    }

    fn stats(&self) -> Stats {
        Stats::new(self.pool.stats())
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let pool = self.own()?;
        py.detach(|| pool.close());
        Ok(())
    }
}

impl ReactorPool {
    /// Gives a command without a word of whether the reactors have stopped. The caller has let go of the interpreter.
    pub(crate) fn order(&self, conn: ConnId, command: Command) {
        let _stopped = self.pool.command(conn, command);
    }

    /// The next events, `limit` at most.
    pub(crate) fn batch(&self, limit: usize) -> PyResult<Vec<Event>> {
        let mut batch = Vec::new();
        self.own()?.take(limit, &mut batch);
        if batch.is_empty() && self.pool.has_failed() {
            return Err(CoreError::new_err(
                "a reactor thread has ended by itself; its last words are on stderr",
            ));
        }
        Ok(batch)
    }

    /// The pool, in the process that made it.
    pub(crate) fn own(&self) -> PyResult<&dscore_reactor::ReactorPool> {
        if self.owner == std::process::id() {
            return Ok(&self.pool);
        }
        Err(ForkedError::new_err(
            "this pool belongs to the parent process: reactor threads do not survive a fork; make a pool of your own",
        ))
    }

    pub(crate) fn give(&self, py: Python<'_>, conn: u64, command: Command) -> PyResult<()> {
        let pool = self.own()?;
        py.detach(|| pool.command(ConnId::from_u64(conn), command))
            .map_err(errors::stopped)
    }

    fn give_all(
        &self,
        py: Python<'_>,
        command: impl Fn() -> ReactorCommand + Send + Sync,
    ) -> PyResult<()> {
        let pool = self.own()?;
        py.detach(|| pool.command_all(command))
            .map_err(errors::stopped)
    }
}
