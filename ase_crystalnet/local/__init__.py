"""Method 1: windows about many places."""
