"""What to say about a name that does not exist."""

from collections.abc import Iterable
from difflib import get_close_matches


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest of `known`, or all of them."""
    names = sorted(known)
    if near := get_close_matches(name, names, n=3, cutoff=0.6):
        return f"did you mean {' or '.join(map(repr, near))}?"
    return f"there are {', '.join(names)}" if names else "there are none"
