# What may be taken away is read when it is asked for: allowing one thing more reloads, and restarts nobody's mailboxes.
{
  module.services.postrider.domains."example.test".users.ann = { };
  holds =
    { config, also, ... }:
    let
      role = config: config.systemd.services.postrider-access;
      allowing = also { services.postrider.plan.allowDestructive = [ "bob@example.test" ]; };
    in
    [
      ((role allowing).serviceConfig == (role config).serviceConfig)
      ((role allowing).restartTriggers == (role config).restartTriggers)
      ((role allowing).reloadTriggers != (role config).reloadTriggers)
    ];
}
