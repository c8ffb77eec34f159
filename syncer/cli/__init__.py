"""The commands of `syncer`, one file a group: the only place that prints."""
