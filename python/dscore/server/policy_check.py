"""A policy is looked at once, before anything is served: a hook with a slip in its name would never
be called, and one with a slip in its arguments would fail when it matters."""

import inspect
from difflib import get_close_matches

from dscore.errors import PolicyError
from dscore.policy import Policy

HOOKS = tuple(name for name in vars(Policy) if not name.startswith("_") and name != "namespaces")


SLIP = 0.9
"""How like a hook's a name is that was not meant to be another: one or two letters of twelve are
wrong. `authenticate_user` is a program's own."""


def check_policy(policy: Policy) -> None:
    """
    Raises:
        PolicyError: a method is named like a hook and is none, or does not take what it is given.
    """
    kind = type(policy)
    for name in dir(kind):
        if name.startswith("_") or name in HOOKS or not callable(getattr(kind, name)):
            continue
        is_meant = name.startswith("on_")
        if near := get_close_matches(name, HOOKS, n=1, cutoff=0.6 if is_meant else SLIP):
            raise PolicyError(f"{kind.__name__}.{name} is no hook: did you mean {near[0]}?")
        if is_meant:
            raise PolicyError(f"{kind.__name__}.{name} is no hook: there are {', '.join(HOOKS)}")
    for name in HOOKS:
        _check_arguments(kind.__name__, name, getattr(policy, name))


def _check_arguments(kind: str, name: str, hook: object) -> None:
    given = [one for one in inspect.signature(getattr(Policy, name)).parameters if one != "self"]
    if not callable(hook):
        raise PolicyError(f"{kind}.{name} must be a function of ({', '.join(given)})")
    try:
        taken = inspect.signature(hook)
    except ValueError:  # one of C: it does not tell
        return
    try:
        taken.bind(*given)
    except TypeError as error:
        raise PolicyError(
            f"{kind}.{name}{taken} is called with ({', '.join(given)}): {error}"
        ) from None
