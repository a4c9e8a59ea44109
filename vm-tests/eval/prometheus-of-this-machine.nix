# The figures are scraped without another option, and only the machine itself reaches the port.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    dashboard.enable = true;
    monitoring.prometheus.enable = true;
    openFirewall = true;
  };
  holds =
    {
      lib,
      config,
      also,
    }:
    let
      inherit (config.services) postrider prometheus;
      targets = lib.concatMap (job: lib.concatMap (group: group.targets) job.static_configs);
    in
    [
      prometheus.enable
      (lib.elem "[::1]:9325" (targets prometheus.scrapeConfigs))
      (lib.elem postrider.monitoring.alertRules prometheus.ruleFiles)
      (!lib.elem 9090 config.networking.firewall.allowedTCPPorts)
      (!(also { services.prometheus.enable = false; }).services.prometheus.enable)
    ];
}
