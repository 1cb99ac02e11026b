"""The network of Ziletti et al. 2018 on whole structures."""
