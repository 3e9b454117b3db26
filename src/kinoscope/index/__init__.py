"""From a folder of videos to a searchable index: scan, decode, build, store, search arrays."""
