# The roles that run, each as a unit of its own.
cfg:
[
  "access"
  "mta"
]
++ (if cfg.dashboard.enable then [ "dashboard" ] else [ ])
