# Where the bodies of queued messages are.
cfg: cfg.settings.spool.directory or "/var/spool/postrider"
