"""The picture for people: the image with what was found, and how unusual each place is.

| module | holds |
| --- | --- |
| `overlay` | the whole figure |
| `layout` | where its parts go |
| `panels`, `outlines`, `placement`, `layers`, `reasons` | the parts |
| `display` | from pixels of any kind to colours of a size that a screen can hold |
"""
