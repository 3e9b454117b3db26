"""Tests of indexing by many machines, on a Ray of this one."""
