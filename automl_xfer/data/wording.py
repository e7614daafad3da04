"""How numbers and lists of names are put into sentences for users."""

from collections.abc import Iterable


def listed(names: Iterable[object], limit: int = 5) -> str:
    """'a, b and c', or 'a, b and 7 more' when there are more than `limit` names."""
    words = [str(name) for name in names]
    if len(words) > limit:
        words = [*words[:limit], f"{len(words) - limit} more"]
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def counted(number: int, noun: str) -> str:
    """'1 image', '2,500 images', '2 classes', '3 copies'."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("s"):
        return f"{number:,} {noun}es"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith("y") else f"{number:,} {noun}s"
