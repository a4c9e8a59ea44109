# Backups, taken and proven on a schedule.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    getExe
    mkEnableOption
    mkIf
    mkMerge
    mkOption
    optional
    optionals
    types
    ;
  cfg = config.services.postrider;
  backup = cfg.backup;
  own = import ./lib/types.nix { inherit lib; };
  inherit (import ./lib/hardening.nix { inherit lib; }) harden inHomes outbound;
  inherit (import ./lib/credentials.nix) credentialsDirectory standIns;
  command = "${getExe cfg.package} --config /etc/postrider/postrider.toml backup";

  kept =
    span: default: example:
    mkOption {
      type = types.ints.unsigned;
      inherit default example;
      description = "For how many ${span} with backups the last backup is kept.";
    };

  # A backup holds every file that the configuration names, and so it gets what every role gets.
  credentials = map ({ name, value }: "${name}:${value}") cfg.secretFiles;

  # Whether a directory is another one, or lies in it.
  liesIn = inner: outer: lib.hasPrefix "${toString outer}/" "${toString inner}/";
  overlap = one: other: liesIn one other || liesIn other one;
  saved = [
    cfg.mailRoot
    (import ./lib/spool.nix cfg)
  ];

  isBucket = place: place != null && lib.hasPrefix "s3://" place;
  isDirectory = place: place != null && lib.hasPrefix "/" place;
  directories = lib.filter isDirectory [
    backup.destination
    backup.remote
  ];
  # Where a drill makes its server, if it is not `/var/tmp`, of which every unit has its own.
  drillDirectory = lib.filter (path: path != null) [ (cfg.settings.backup.drill_directory or null) ];
  overSsh = backup.remote != null && !isBucket backup.remote && !isDirectory backup.remote;
  # The own key comes with the unit, and with the `postrider` of administrators.
  remoteShell =
    backup.remoteShell
    +
      lib.optionalString (backup.remoteHostKeys != [ ])
        " -o UserKnownHostsFile=${pkgs.writeText "postrider-backup-hosts" (lib.concatLines backup.remoteHostKeys)}"
    + lib.optionalString (
      backup.remoteKeyFile != null
    ) " -o IdentitiesOnly=yes -o IdentityFile=\${CREDENTIALS_DIRECTORY}/backup-remote-key";
  usesBucket = isBucket backup.destination || isBucket backup.remote;
  goesOut = overSsh || usesBucket || cfg.database.urlFile != null;
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
    # What the machine has missed while it was off is made up for when it starts; one that fails then waits for its next time.
    after = [
      "postrider-access.service"
      "postrider-mta.service"
    ]
    ++ optionals goesOut [
      "network-online.target"
      "nss-lookup.target"
    ];
    wants = optional goesOut "network-online.target";
    path =
      optional (backup.ageRecipients != [ ]) pkgs.age
      ++ optional overSsh pkgs.openssh
      ++ optional (overSsh || isDirectory backup.remote) pkgs.rsync;
    unitConfig.RequiresMountsFor = saved ++ directories ++ drillDirectory;
    # A backup that runs while the system changes is not broken off.
    restartIfChanged = false;
    serviceConfig = {
      CPUWeight = 20;
      Environment = credentialsDirectory;
      ExecStart = map (step: "${command} ${step}") steps;
      IOWeight = 20;
      LoadCredential = credentials;
      Nice = 10;
      CacheDirectory = "postrider/backup";
      CacheDirectoryMode = "0700";
      ReadWritePaths = [
        "/run/postrider"
        "/var/lib/postrider"
      ]
      ++ directories
      ++ drillDirectory;
      SetCredential =
        optional (cfg.database.localUrls ? root) "database-url:${cfg.database.localUrls.root}"
        ++ standIns cfg.passwordCredentials;
      SupplementaryGroups = [ "postrider" ];
      Type = "oneshot";
    }
    // harden (
      reading
      // inHomes ([ cfg.mailRoot ] ++ directories ++ drillDirectory)
      // lib.optionalAttrs goesOut (outbound remote)
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
      type = types.either own.directory (types.strMatching "s3://.+");
      default = "/var/backup/postrider";
      example = "s3://mail-backups/mx1";
      description = ''
        Where the backups are: a directory, which should be on another disk than the mail, or a bucket in S3-compatible
        storage, configured in `s3`.
      '';
    };
    schedule = mkOption {
      type = types.nonEmptyStr;
      default = "02:30";
      example = "*-*-* 00/6:00:00";
      description = "When a backup is taken, in systemd.time(7) syntax. Expired backups are removed at the same time.";
    };
    fullEvery = mkOption {
      type = own.span;
      default = "7d";
      example = "30d";
      description = "After this time the next backup reads every message again, instead of only new ones.";
    };
    appendOnly = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = "Never remove anything from the destination; another machine, or the storage itself, prunes it.";
    };
    retention = {
      daily = kept "days" 7 14;
      weekly = kept "weeks" 4 8;
      monthly = kept "months" 12 24;
      days = mkOption {
        type = types.ints.unsigned;
        default = 2;
        example = 7;
        description = "All backups younger than this many days are kept.";
      };
      full = mkOption {
        type = types.ints.unsigned;
        default = 2;
        example = 4;
        description = "How many of the newest full backups (those that read everything) are kept.";
      };
    };
    drill = mkOption {
      type = types.nullOr types.nonEmptyStr;
      default = "weekly";
      example = "Sun 04:00";
      description = ''
        When the newest backup is tested: a server is built from it in a temporary directory, some users log in, and what
        they see is compared. `null` for never. It needs room for all mail: `settings.backup.drill_directory` says where,
        instead of `/var/tmp`.
      '';
    };
    remote = mkOption {
      type = types.nullOr types.nonEmptyStr;
      default = null;
      example = "backup@vault.example.com:postrider";
      description = ''
        Where the backups are copied to: a destination in rsync syntax, over ssh or a directory on another disk, or
        `s3://bucket/prefix`. Nothing is ever removed there.
      '';
    };
    remoteSchedule = mkOption {
      type = types.nonEmptyStr;
      default = "monthly";
      example = "daily";
      description = "When backups that `remote` lacks are copied there.";
    };
    remoteShell = mkOption {
      type = types.nonEmptyStr;
      default = "ssh -o BatchMode=yes";
      example = "ssh -o BatchMode=yes -p 23";
      description = "Command, with options, by which rsync reaches the other machine. It must not prompt.";
    };
    remoteHostKeys = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "vault.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI…" ];
      description = ''
        Host keys of the other machine: lines of `known_hosts`, as `ssh-keyscan` prints them. Without any, those of
        `programs.ssh.knownHosts` apply; root's own `known_hosts` is not read.
      '';
    };
    remoteKeyFile = mkOption {
      type = types.nullOr own.secretFile;
      default = null;
      example = "/run/secrets/backup-ssh-key";
      description = "File with the private key, without a passphrase, for the other machine. Only root needs to be able to read it.";
    };
    s3 = {
      endpoint = mkOption {
        type = types.str;
        default = "";
        example = "https://s3.eu-central-1.amazonaws.com";
        description = "URL of the storage service that holds the buckets.";
      };
      region = mkOption {
        type = types.nonEmptyStr;
        default = "us-east-1";
        example = "eu-central-1";
        description = "Region, as the storage service names it.";
      };
      addressStyle = mkOption {
        type = types.enum [
          "path"
          "host"
        ];
        default = "path";
        example = "host";
        description = "Whether the bucket is named in the path or in the host name.";
      };
      accessKey = mkOption {
        type = types.str;
        default = "";
        example = "AKIAIOSFODNN7EXAMPLE";
        description = "The id of the access key, which is no secret.";
      };
      secretKeyFile = mkOption {
        type = types.nullOr own.secretFile;
        default = null;
        example = "/run/secrets/backup-s3";
        description = "File with the secret of the access key. Only root needs to be able to read it.";
      };
      authorities = mkOption {
        type = types.nullOr types.path;
        default = null;
        example = "/etc/ssl/storage-ca.pem";
        description = "PEM file with the certificate authorities to trust; `null` for those of the system.";
      };
    };
    ageRecipients = mkOption {
      type = types.listOf own.ageRecipient;
      default = [ ];
      example = [ "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudjx5u9s0a4xyz" ];
      description = "age keys that can decrypt the configuration and the keys in backups; without any these are stored unencrypted.";
    };
    withoutSecrets = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = "Leave private keys and other secrets out of backups. Keep them elsewhere, because a restored server needs them.";
    };
  };

  config = mkIf (cfg.enable && backup.enable) (mkMerge [
    {
      services.postrider.settings.backup = {
        destination = backup.destination;
        retention = backup.retention;
        age_recipients = backup.ageRecipients;
        append_only = backup.appendOnly;
        full_every = backup.fullEvery;
        without_secrets = backup.withoutSecrets;
      }
      // lib.optionalAttrs (backup.remote != null) {
        inherit (backup) remote;
        remote_shell = remoteShell;
      }
      // lib.optionalAttrs usesBucket {
        s3 = {
          inherit (backup.s3) endpoint region;
          access_key = backup.s3.accessKey;
          address_style = backup.s3.addressStyle;
        }
        // lib.optionalAttrs (backup.s3.secretKeyFile != null) {
          secret_key_file = "credential:backup-s3";
        }
        // lib.optionalAttrs (backup.s3.authorities != null) { inherit (backup.s3) authorities; };
      };
      assertions = [
        {
          assertion = !usesBucket || backup.s3.endpoint != "";
          message = "services.postrider.backup: a bucket needs its storage: set services.postrider.backup.s3.endpoint to its URL.";
        }
        {
          assertion = !isBucket backup.destination || backup.remote == null || isBucket backup.remote;
          message = "services.postrider.backup: rsync cannot copy from a bucket: make destination a directory, or remote another bucket.";
        }
        {
          assertion = !lib.any (place: lib.any (overlap place) saved) directories;
          message = "services.postrider.backup: destination and remote must not overlap with the mail and the queue: name other directories.";
        }
        {
          assertion =
            !isDirectory backup.destination
            || !isDirectory backup.remote
            || !overlap backup.destination backup.remote;
          message = "services.postrider.backup: remote is the copy of destination and must not overlap with it: name another directory.";
        }
        {
          assertion = overSsh || (backup.remoteKeyFile == null && backup.remoteHostKeys == [ ]);
          message = "services.postrider.backup: remoteKeyFile and remoteHostKeys are for a remote over ssh; set one, or remove them.";
        }
      ];
      systemd.tmpfiles.settings."10-postrider" = lib.genAttrs directories (_: {
        d = {
          mode = "0700";
          user = "root";
          group = "root";
        };
      });
      systemd.services.postrider-backup = unit "Postrider: a backup" { } (
        [ "create" ] ++ optional (!backup.appendOnly) "prune"
      );
      systemd.timers.postrider-backup = timer backup.schedule;
    }
    (mkIf (backup.remote != null) {
      systemd.services.postrider-offsite = unit "Postrider: backups are copied elsewhere" { } [ "push" ];
      systemd.timers.postrider-offsite = timer backup.remoteSchedule;
    })
    (mkIf (backup.drill != null) {
      systemd.services.postrider-drill = unit "Postrider: the newest backup is proven" toItself [
        "drill"
      ];
      systemd.timers.postrider-drill = timer backup.drill;
    })
  ]);
}
