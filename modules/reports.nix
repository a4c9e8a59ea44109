# JSON reports and the postmaster's summary, made by a timer.
{ config, lib, ... }:
let
  inherit (lib)
    getExe
    mkEnableOption
    mkIf
    mkMerge
    mkOption
    optional
    types
    ;
  cfg = config.services.postrider;
  own = import ./lib/types.nix { inherit lib; };
in
{
  options.services.postrider.reports = {
    enable = mkEnableOption "JSON reports about queue, spam, mailboxes and backups in `/var/lib/postrider-reports`";
    at = mkOption {
      type = types.str;
      default = "daily";
      example = "Mon 06:00";
      description = "When they are made, as `OnCalendar=` of systemd has it.";
    };
    since = mkOption {
      type = own.span;
      default = "1d";
      example = "7d";
      description = "How far back they go.";
    };
    to = mkOption {
      type = types.nullOr own.address;
      default = null;
      example = "postmaster@example.com";
      description = "Who gets a summary by mail at the same time; nobody when it is `null`.";
    };
  };

  config = mkIf (cfg.enable && cfg.reports.enable) (mkMerge [
    {
      systemd.services.postrider-reports = {
        description = "Postrider: reports";
        documentation = [ "man:postrider(1)" ];
        after = [ "postrider-mta.service" ];
        startAt = cfg.reports.at;
        serviceConfig = {
          # As root, whose credentials the command line finds by itself.
          ExecStart = [
            "${getExe cfg.commandLine} report all --since ${cfg.reports.since} /var/lib/postrider-reports"
          ]
          ++ optional (
            cfg.reports.to != null
          ) "${getExe cfg.commandLine} report mail --since ${cfg.reports.since}";
          StateDirectory = "postrider-reports";
          StateDirectoryMode = "0750";
          Type = "oneshot";
        };
      };
    }
    (mkIf (cfg.reports.to != null) {
      services.postrider.settings.summary.to = cfg.reports.to;
    })
  ]);
}
