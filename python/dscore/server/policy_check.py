"""A policy is looked at once, before anything is served: a hook with a slip in its name would never
be called, and one with a slip in its arguments would fail when it matters."""

import inspect
from difflib import get_close_matches

from dscore.errors import PolicyError
from dscore.policy import Policy

HOOKS = tuple(name for name in vars(Policy) if not name.startswith("_") and name != "namespaces")


def check_policy(policy: Policy) -> None:
    """
    Raises:
        PolicyError: a method is named like a hook and is none, or does not take what it is given.
    """
    kind = type(policy)
    for name in dir(kind):
        if name.startswith("on_") and name not in HOOKS and callable(getattr(kind, name)):
            near = get_close_matches(name, HOOKS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(HOOKS)}"
            raise PolicyError(f"{kind.__name__}.{name} is no hook: {hint}")
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
