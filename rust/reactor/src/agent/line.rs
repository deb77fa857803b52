//! The connection that a message came on, as far as its meaning depends on it.

use dscore_traffic::ConnId;

use super::delivery::Delivery;
use crate::form::Form;

/// What must be known of the connection that a message came on.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) conn: ConnId,
    /// How messages go out.
    pub(crate) form: Form,
    /// Whether a token came before any message.
    pub(crate) has_token: bool,
    pub(crate) delivery: &'a mut Delivery,
}
