"""Whole workflows as Dask graphs, wired from the commands of the stages."""
