"""pvserve: serve machine-learning models with KServe straight from a PersistentVolumeClaim."""

__version__ = "0.1.0"
