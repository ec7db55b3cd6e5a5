"""Owns the one error this package raises for anything a person can repair."""

from __future__ import annotations


class ImageError(Exception):
    """An image could not be made; the text says which one, why, and what to do next."""
