"""Authenticates candidates: by the tokens of the configuration, then by the policy's hook.

`judge` asks it, and Socket.IO connections that watch from their CONNECT on.
"""

from typing import TYPE_CHECKING

from dscore.policy.admission import is_asked, wants_certificates, with_grant
from dscore.server.live import Live

if TYPE_CHECKING:
    from dscore.policy import Candidate
    from dscore.server.hooks import Then


class Authenticator:
    """By the present settings: a reload changes them."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._hook = live.hooks.authenticate
        self.asks = self._hook is not None
        """Whether the policy overrides `authenticate`."""

    @property
    def is_needed(self) -> bool:
        """Whether a candidate may be refused at all."""
        return self.asks or is_asked(self._live.config)

    def with_grant(self, candidate: "Candidate") -> "Candidate | None":
        """A candidate with what its token says; None: the configuration does not let it in."""
        live = self._live
        required = live.config.auth.required
        return with_grant(candidate, required=required, keyring=live.keyring)

    def has_certificate(self, candidate: "Candidate") -> bool:
        """Whether an agent's id is a name of its certificate, where clients must have one."""
        wanted = candidate.role == "agent" and wants_certificates(self._live.config)
        return not wanted or candidate.agent_id in candidate.certificate_names

    def ask(self, candidate: "Candidate", then: "Then") -> bool:
        """Asks the policy's `authenticate`: `Hooks.ask`, for as long as `auth.timeout`. The core's
        own deadline stands still meanwhile.

        Returns:
            Whether the answer is still to come.
        """
        assert self._hook is not None
        live = self._live
        timeout = live.config.auth.timeout
        return live.hooks.ask(self._hook, (candidate,), then, live.clock, timeout)
