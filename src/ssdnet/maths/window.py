"""A part of an image, and where it lies in the whole."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """Rows `top` to `bottom` and columns `left` to `right` (both exclusive) of an image of a `shape`.

    >>> window = Window(top=100, bottom=200, left=0, right=50, shape=(1000, 60))
    >>> window.around(30)
    Window(top=70, bottom=230, left=0, right=60, shape=(1000, 60))
    >>> window.within(window.around(30))
    (slice(30, 130, None), slice(0, 50, None))
    """

    top: int
    bottom: int
    left: int
    right: int
    shape: tuple[int, int]
    """Height and width of the whole image, pixels."""

    def __post_init__(self) -> None:
        height, width = self.shape
        if not (0 <= self.top < self.bottom <= height and 0 <= self.left < self.right <= width):
            raise ValueError(f"{self} is no part of the image")

    @classmethod
    def whole(cls, shape: tuple[int, int]) -> Window:
        """All of an image.

        >>> Window.whole((4, 6)).size
        (4, 6)
        """
        return cls(0, shape[0], 0, shape[1], (shape[0], shape[1]))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the part, pixels."""
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns, for an array of the whole."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def around(self, halo: int) -> Window:
        """The same with so many pixels of context on each side, as far as the image goes."""
        return self.around_by(halo, halo)

    def around_by(self, down: int, right: int) -> Window:
        """The same with so many rows above and below, and columns beside it, as far as the image goes."""
        height, width = self.shape
        return Window(
            max(0, self.top - down),
            min(height, self.bottom + down),
            max(0, self.left - right),
            min(width, self.right + right),
            self.shape,
        )

    def inside(self, outer: Window) -> Window:
        """What of it lies inside of another window of the same image.

        >>> Window(0, 9, 2, 6, (9, 7)).inside(Window(4, 9, 0, 4, (9, 7)))
        Window(top=4, bottom=9, left=2, right=4, shape=(9, 7))
        """
        return Window(
            max(self.top, outer.top),
            min(self.bottom, outer.bottom),
            max(self.left, outer.left),
            min(self.right, outer.right),
            self.shape,
        )

    def tiles(self, side: int) -> list[Window]:
        """Parts of at most `side` rows and columns that cover it, row by row.

        >>> [tile.size for tile in Window.whole((5, 3)).tiles(4)]
        [(4, 3), (1, 3)]
        """
        return [
            Window(top, min(top + side, self.bottom), left, min(left + side, self.right), self.shape)
            for top in range(self.top, self.bottom, side)
            for left in range(self.left, self.right, side)
        ]

    def rows(self, rows: slice) -> Window:
        """Some of its rows, counted from its first.

        >>> Window(4, 9, 0, 6, (9, 7)).rows(slice(2, 4))
        Window(top=6, bottom=8, left=0, right=6, shape=(9, 7))
        """
        return Window(self.top + rows.start, self.top + rows.stop, self.left, self.right, self.shape)

    def within(self, outer: Window) -> tuple[slice, slice]:
        """Its rows and columns, for an array of a window that holds it."""
        return (
            slice(self.top - outer.top, self.bottom - outer.top),
            slice(self.left - outer.left, self.right - outer.left),
        )

    def aligned(self, multiple: int) -> Window:
        """The part of it that begins at a multiple, along both axes, and ends where it ends.

        >>> Window(5, 20, 8, 30, (20, 30)).aligned(4)
        Window(top=8, bottom=20, left=8, right=30, shape=(20, 30))
        """
        top, left = (-(-start // multiple) * multiple for start in (self.top, self.left))
        return Window(top, self.bottom, left, self.right, self.shape)

    def aligned_outwards(self, multiple: int) -> Window:
        """The smallest window around it that begins at a multiple, along both axes, and ends where it ends.

        >>> Window(5, 20, 8, 30, (20, 30)).aligned_outwards(4)
        Window(top=4, bottom=20, left=8, right=30, shape=(20, 30))
        """
        top, left = (start // multiple * multiple for start in (self.top, self.left))
        return Window(top, self.bottom, left, self.right, self.shape)

    def halved(self) -> Window:
        """What is left of it at half the resolution; it begins at even pixels.

        >>> Window(4, 9, 0, 6, (9, 7)).halved()
        Window(top=2, bottom=5, left=0, right=3, shape=(5, 4))
        """
        return Window(
            self.top // 2,
            -(-self.bottom // 2),
            self.left // 2,
            -(-self.right // 2),
            (-(-self.shape[0] // 2), -(-self.shape[1] // 2)),
        )
