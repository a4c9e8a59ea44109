# Backups, taken and proven on a schedule.
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
  backup = cfg.backup;
  inherit (import ./lib/hardening.nix { inherit lib; }) harden outbound;
  command = "${getExe cfg.package} --config /etc/postrider/postrider.toml backup";

  kept =
    span: default: example:
    mkOption {
      type = types.ints.unsigned;
      inherit default example;
      description = "Of how many ${span} with backups the last one is kept.";
    };

  # A backup holds every file that the configuration names, and so it gets what every role gets.
  credentials =
    map (p: "${p.credential}:${p.file}") cfg.passwordCredentials
    ++ lib.mapAttrsToList (name: secret: "${name}:${secret.file}") cfg.secrets
    ++ optional (cfg.database.urlFile != null) "database-url:${cfg.database.urlFile}";

  remote = "the backups are copied to another machine";
  reading = {
    CapabilityBoundingSet = {
      value = "CAP_DAC_READ_SEARCH";
      because = "it reads the mail of every user, whoever owns it";
    };
    PrivateUsers = {
      value = false;
      because = "the right to read holds for the owners of the mail only where they are known";
    };
    UMask = {
      value = "0077";
      because = "a backup is for its owner alone";
    };
  };

  toItself =
    removeAttrs (outbound "it logs in to the server it has made, within a network of its own")
      [ "PrivateNetwork" ];

  unit = description: relax: steps: {
    inherit description;
    documentation = [ "man:postrider(1)" ];
    after = [
      "postrider-access.service"
      "postrider-mta.service"
    ];
    # A backup that runs while the system changes is not broken off.
    restartIfChanged = false;
    serviceConfig = {
      CPUWeight = 20;
      ExecStart = map (step: "${command} ${step}") steps;
      IOWeight = 20;
      LoadCredential = credentials;
      Nice = 10;
      ReadWritePaths = [
        backup.destination
        "/run/postrider"
        "/var/lib/postrider"
      ];
      SetCredential = optional (
        cfg.database.localUrls ? root
      ) "database-url:${cfg.database.localUrls.root}";
      SupplementaryGroups = [ "postrider" ];
      Type = "oneshot";
    }
    // harden (
      reading
      // lib.optionalAttrs (backup.remote != null || cfg.database.urlFile != null) (outbound remote)
      // relax
    );
  };
  timer = when: {
    wantedBy = [ "timers.target" ];
    timerConfig = {
      OnCalendar = when;
      Persistent = true;
      RandomizedDelaySec = "15m";
    };
  };
in
{
  options.services.postrider.backup = {
    enable = mkEnableOption "backups of everything: accounts, queue, mailboxes, configuration, keys, learned spam data";
    destination = mkOption {
      type = types.path;
      default = "/var/backup/postrider";
      example = "/mnt/backup/postrider";
      description = "Directory of the backups. It should lie on another disk than the mail.";
    };
    schedule = mkOption {
      type = types.str;
      default = "02:30";
      example = "*-*-* 00/6:00:00";
      description = "When a backup is taken, in the words of systemd.time(7). What is no longer to be kept is removed then, too.";
    };
    retention = {
      daily = kept "days" 7 14;
      weekly = kept "weeks" 4 8;
      monthly = kept "months" 12 24;
    };
    drill = mkOption {
      type = types.nullOr types.str;
      default = "weekly";
      example = "Sun 04:00";
      description = ''
        When the newest backup is proven: a server is made of it in a throw-away directory, some users log in, and what
        they see is compared. `null` for never.
      '';
    };
    remote = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "backup@vault.example.com:postrider";
      description = "Where each backup is copied to, as rsync writes it, over ssh. Nothing is ever removed there.";
    };
    ageRecipients = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudjx5u9s0a4xyz" ];
      description = "Who can read the configuration and the keys in backups; without any they are stored as they are.";
    };
  };

  config = mkIf (cfg.enable && backup.enable) (mkMerge [
    {
      services.postrider.settings.backup = {
        destination = backup.destination;
        retention = backup.retention;
        age_recipients = backup.ageRecipients;
      }
      // lib.optionalAttrs (backup.remote != null) { inherit (backup) remote; };
      systemd.tmpfiles.settings."10-postrider".${backup.destination}.d = {
        mode = "0700";
        user = "root";
        group = "root";
      };
      systemd.services.postrider-backup = unit "Postrider: a backup" { } (
        [
          "create"
          "prune"
        ]
        ++ optional (backup.remote != null) "push"
      );
      systemd.timers.postrider-backup = timer backup.schedule;
    }
    (mkIf (backup.drill != null) {
      systemd.services.postrider-drill = unit "Postrider: the newest backup is proven" toItself [
        "drill"
      ];
      systemd.timers.postrider-drill = timer backup.drill;
    })
  ]);
}
