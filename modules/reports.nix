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
  inherit (import ./lib/hardening.nix { inherit lib; }) harden;
  inherit (import ./lib/credentials.nix) credentialsDirectory;
  user = "postrider-mta";
  database = import ./lib/database-access.nix { inherit lib; } cfg user;
  command = "${getExe cfg.package} --config /etc/postrider/postrider.toml report";
in
{
  options.services.postrider.reports = {
    enable = mkEnableOption "JSON reports about queue, spam, mailboxes and backups in `/var/lib/postrider-reports`";
    at = mkOption {
      type = types.nonEmptyStr;
      default = "daily";
      example = "Mon 06:00";
      description = "When they are made, in the syntax of systemd's `OnCalendar=`.";
    };
    since = mkOption {
      type = own.span;
      default = "1d";
      example = "7d";
      description = "Period that the reports cover.";
    };
    to = mkOption {
      type = types.nullOr own.address;
      default = null;
      example = "postmaster@example.com";
      description = "Who gets a summary by mail at the same time; `null` for nobody.";
    };
  };

  config = mkIf (cfg.enable && cfg.reports.enable) (mkMerge [
    {
      systemd.services.postrider-reports = {
        description = "Postrider: reports";
        documentation = [ "man:postrider(1)" ];
        after = [ "postrider-mta.service" ];
        serviceConfig = {
          Environment = credentialsDirectory;
          ExecStart = [
            "${command} all --since ${cfg.reports.since} /var/lib/postrider-reports"
          ]
          ++ optional (cfg.reports.to != null) "${command} mail --since ${cfg.reports.since}";
          Group = "postrider";
          ReadWritePaths = [ "/var/lib/postrider" ];
          StateDirectory = "postrider-reports";
          StateDirectoryMode = "0750";
          Type = "oneshot";
          # The role that sends the summary is asked over its control socket, which only its user may open.
          User = user;
        }
        // database.credentials
        // harden (
          {
            UMask = {
              value = "0007";
              because = "the roles share the SQLite database through their group";
            };
          }
          // database.relax
        );
      };

      systemd.timers.postrider-reports = {
        wantedBy = [ "timers.target" ];
        timerConfig = {
          OnCalendar = cfg.reports.at;
          Persistent = true;
        };
      };
    }
    (mkIf (cfg.reports.to != null) {
      services.postrider.settings.summary.to = cfg.reports.to;
    })
  ]);
}
