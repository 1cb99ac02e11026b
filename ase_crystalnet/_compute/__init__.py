"""How inner loops run; knows no physics but S(q)."""
