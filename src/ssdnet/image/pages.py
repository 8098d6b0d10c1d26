"""Choosing one page of a file that may have many."""

from __future__ import annotations

from ssdnet.errors import PageNotFoundError


def choose_page(name: str, wanted: int | None, count: int, word: str = "page") -> tuple[int, tuple[str, ...]]:
    """The page to read and what to tell a person about the others.

    Args:
        name: of the image, for the message.
        wanted: from 1; None = the first, with a note when there are others.
        count: pages in the file.
        word: what a page of such a file is called.

    Returns:
        The page, from 1, and the notes.

    Raises:
        PageNotFoundError: no such page.

    Examples:
        >>> from ssdnet.errors import PageNotFoundError
        >>> from ssdnet.image.pages import choose_page
        >>> choose_page("stack.tif", None, count=3)
        (1, ('the file has 3 pages; page 1 was read (choose with --page)',))
        >>> try:
        ...     choose_page("stack.tif", 4, count=3)
        ... except PageNotFoundError as error:
        ...     print(error)
        stack.tif: there is no page 4; it has 3 pages
    """
    if wanted is None:
        many = f"the file has {count} {word}s; {word} 1 was read (choose with --page)"
        return 1, (many,) if count > 1 else ()
    if wanted > count:
        has = f"1 {word}" if count == 1 else f"{count} {word}s"
        raise PageNotFoundError(f"{name}: there is no {word} {wanted}; it has {has}")
    return wanted, ()
