from .files import write_outputs as write_outputs

__all__ = [
    "write_outputs",
]
