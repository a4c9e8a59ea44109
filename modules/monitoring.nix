# Prometheus and Grafana on this machine: figures, alerts, a dashboard.
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
    prometheus.enable = mkEnableOption "a scrape job and alert rules in `services.prometheus` on this machine";
    grafana.enable = mkEnableOption "a dashboard of the figures in `services.grafana` on this machine; it asks for the Prometheus data source, and `services.grafana` itself must be enabled and have its `settings.security.secret_key`";
    backupAge = mkOption {
      type = types.strMatching "[1-9][0-9]*[hdw]";
      default = "2d";
      example = "8h";
      description = ''
        How old the last backup may become before there is an alert: somewhat more than the time from one to the next by
        `backup.schedule`, in hours, days or weeks.
      '';
    };
    drillAge = mkOption {
      type = types.strMatching "[1-9][0-9]*[hdw]";
      default = "3w";
      example = "6w";
      description = ''
        For how long no backup need have been proven before there is an alert: more than the time from one drill to the
        next by `backup.drill`, in hours, days or weeks.
      '';
    };
    copyAge = mkOption {
      type = types.strMatching "[1-9][0-9]*[hdw]";
      default = "5w";
      example = "2d";
      description = ''
        How old the last copy of the backups to `backup.remote` may become before there is an alert: somewhat more than the
        time from one to the next by `backup.remoteSchedule`, in hours, days or weeks.
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
          message = "services.postrider.monitoring.prometheus needs the figures: set services.postrider.dashboard.enable = true.";
        }
      ];
      services.prometheus = {
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
