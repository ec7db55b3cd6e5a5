"""Container images for the bed, made on this machine from Debian packages and PyPI wheels: no image registry.

`ensure` is the only way in. It owns the cache; it knows no container runtime and no Kubernetes.
"""

from bed.images.cache import DEFAULT, KNOWN, ensure, reference
from bed.images.errors import ImageError

__all__ = ["DEFAULT", "KNOWN", "ImageError", "ensure", "reference"]
