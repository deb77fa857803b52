//! What an agent says, in either dialect.

use std::time::Duration;

use crate::dialect::Dialect;
use crate::heard::RequestId;

pub(crate) fn app_ready(
    dialect: Dialect,
    id: &str,
    reconnection: bool,
    last_close_code: u16,
) -> String {
    dialect.text(
        "app_ready",
        format_args!(
            r#""instance_id":"{id}","reconnection":{reconnection},"last_close_code":{last_close_code},"config":{{}}"#
        ),
    )
}

pub(crate) fn heartbeat(dialect: Dialect, id: &str) -> String {
    dialect.text("heartbeat", format_args!(r#""clientName":"{id}""#))
}

pub(crate) fn connection_check_response(dialect: Dialect, id: &str) -> String {
    dialect.text(
        "connection_check_response",
        format_args!(r#""client_name":"{id}""#),
    )
}

pub(crate) fn app_terminated(
    dialect: Dialect,
    request: &RequestId,
    status: &str,
    message: &str,
) -> String {
    let request = String::from_utf8_lossy(request);
    dialect.text(
        "app_terminated",
        format_args!(r#""request_id":"{request}","status":"{status}","message":"{message}""#),
    )
}

pub(crate) fn termination_progress(
    dialect: Dialect,
    request: &RequestId,
    need: Duration,
) -> String {
    let request = String::from_utf8_lossy(request);
    let need_ms = need.as_millis();
    dialect.text(
        "termination_progress",
        format_args!(r#""request_id":"{request}","stage":"finishing","need_ms":{need_ms}"#),
    )
}
