# Prometheus and Grafana on this machine: metrics, alerts, a dashboard.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    mkEnableOption
    mkIf
    mkMerge
    mkOption
    types
    ;
  cfg = config.services.postrider;
  metrics = cfg.listeners.metrics;
  inherit (import ./lib/addresses.nix { inherit lib; }) placeOf;
  job = "postrider";
  json = pkgs.formats.json { };
in
{
  options.services.postrider.monitoring = {
    prometheus.enable = mkEnableOption "Prometheus (`services.prometheus`) on this machine, with a scrape job and alert rules for this server. The firewall does not open its port";
    grafana.enable = mkEnableOption "a dashboard of the metrics in `services.grafana` on this machine; select the Prometheus data source in it. `services.grafana` itself must be enabled and have its `settings.security.secret_key`";
    backupAge = mkOption {
      type = types.strMatching "[1-9][0-9]*[hdw]";
      default = "2d";
      example = "8h";
      description = ''
        Age of the last backup at which an alert fires, in hours, days or weeks: somewhat more than the interval of
        `backup.schedule`.
      '';
    };
    drillAge = mkOption {
      type = types.strMatching "[1-9][0-9]*[hdw]";
      default = "3w";
      example = "6w";
      description = ''
        Time since the last successful drill after which an alert fires, in hours, days or weeks: more than the interval
        of `backup.drill`.
      '';
    };
    copyAge = mkOption {
      type = types.strMatching "[1-9][0-9]*[hdw]";
      default = "5w";
      example = "2d";
      description = ''
        Age of the last copy to `backup.remote` at which an alert fires, in hours, days or weeks: somewhat more than the
        interval of `backup.remoteSchedule`.
      '';
    };
    alertRules = mkOption {
      type = types.path;
      readOnly = true;
      description = "Alert rules as a file for `services.prometheus.ruleFiles`, also for a Prometheus on another machine.";
    };
    dashboard = mkOption {
      type = types.path;
      readOnly = true;
      description = "Folder with the dashboard for Grafana as JSON, also for a Grafana on another machine.";
    };
  };

  config = mkIf cfg.enable (mkMerge [
    {
      services.postrider.monitoring = {
        alertRules = json.generate "postrider-alerts.json" (
          import ./lib/alerts.nix {
            inherit (cfg.monitoring) backupAge drillAge copyAge;
            hasBackup = cfg.backup.enable;
            hasDrill = cfg.backup.enable && cfg.backup.drill != null;
            hasCopy = cfg.backup.enable && cfg.backup.remote != null;
            inherit job;
          }
        );
        dashboard = pkgs.linkFarm "postrider-grafana" [
          {
            name = "postrider.json";
            path = json.generate "postrider-dashboard.json" (import ./lib/grafana.nix { inherit job lib; });
          }
        ];
      };
    }
    (mkIf cfg.monitoring.prometheus.enable {
      assertions = [
        {
          assertion = cfg.dashboard.enable && metrics.enable;
          message = "services.postrider.monitoring.prometheus needs the metrics: set services.postrider.dashboard.enable = true.";
        }
      ];
      services.prometheus = {
        enable = lib.mkDefault true;
        ruleFiles = [ cfg.monitoring.alertRules ];
        scrapeConfigs = [
          {
            job_name = job;
            static_configs = [ { targets = [ (placeOf metrics) ]; } ];
          }
        ];
      };
    })
    (mkIf cfg.monitoring.grafana.enable {
      services.grafana.provision = {
        enable = true;
        dashboards.settings.providers = [
          {
            name = "Postrider";
            options.path = cfg.monitoring.dashboard;
          }
        ];
      };
    })
  ]);
}
