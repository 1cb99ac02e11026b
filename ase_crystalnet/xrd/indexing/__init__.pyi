from .extinctions import group_scores as group_scores
from .indexer import IndexedCell as IndexedCell
from .indexer import index_lines as index_lines
from .lines import IndexLines as IndexLines
from .search import Budget as Budget

__all__ = ["Budget", "IndexLines", "IndexedCell", "group_scores", "index_lines"]
