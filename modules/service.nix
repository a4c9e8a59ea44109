# The service as a whole: the enable option, the program, the configuration file and file ownership.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    literalExpression
    mkEnableOption
    mkIf
    mkOption
    mkPackageOption
    types
    ;
  inherit (pkgs) stdenv;
  cfg = config.services.postrider;
  own = import ./lib/types.nix { inherit lib; };
  format = pkgs.formats.toml { };
  # The roles' credentials, for root: links to the files themselves, not copies.
  credentials = "/run/postrider-credentials";
  secretFiles =
    cfg.secretFiles
    ++ lib.optional (cfg.database.localUrls ? root) (
      lib.nameValuePair "database-url" (pkgs.writeText "database-url" cfg.database.localUrls.root)
    );
  generated = format.generate "postrider.toml" cfg.settings;
in
{
  options.services.postrider = {
    enable = mkEnableOption "Postrider, a complete mail server";

    package = mkPackageOption pkgs "postrider" {
      example = "pkgs.postrider.overrideAttrs { patches = [ ./ours.patch ]; }";
      extraDescription = "The module of the flake takes the package of the same revision.";
    };

    hostname = mkOption {
      type = own.domain;
      default = config.networking.fqdn;
      defaultText = literalExpression "config.networking.fqdn";
      example = "mail.example.com";
      description = ''
        Name with which this server greets. Its A and AAAA records must point to this machine, the PTR records of those
        addresses must point back to it, and the TLS certificate must contain it.
      '';
    };

    mailRoot = mkOption {
      type = own.directory;
      default = "/var/mail/vhosts";
      example = "/srv/mail";
      description = "Directory of all mailboxes, as `<domain>/<local part>/` in Maildir++ layout.";
    };

    settings = mkOption {
      type = types.submodule { freeformType = format.type; };
      default = { };
      example = literalExpression ''{ smtp.message_size = "100M"; }'';
      description = ''
        Keys of the configuration file that have no option of their own, merged last. A key that an option sets to something
        else is a conflict, which evaluation reports with both places; `lib.mkForce` makes it win. Every key is described in
        `docs/configuration.md`; the finished file is checked when the system is built, so that a mistake never
        reaches a switch. The sandboxes allow for `spool.directory` and `backup.drill_directory`; any other directory that
        the server writes to must be in `/var/lib/postrider`.
      '';
    };

    commandLine = mkOption {
      type = types.package;
      internal = true;
      readOnly = true;
      description = "The program as administrators call it: it finds the secrets that the units get as credentials.";
    };

    secretFiles = mkOption {
      type = types.listOf types.raw;
      internal = true;
      readOnly = true;
      description = "All files with secrets that the configuration names, with the names of the credentials that carry them.";
    };

    configFile = mkOption {
      type = types.path;
      readOnly = true;
      description = "The finished and checked configuration file.";
    };
  };

  config = mkIf cfg.enable {
    environment.etc."postrider/postrider.toml".source = cfg.configFile;
    environment.systemPackages = [
      (lib.hiPrio cfg.commandLine)
      cfg.package
    ];

    services.postrider = {
      commandLine = pkgs.writeShellScriptBin "postrider" ''
        export CREDENTIALS_DIRECTORY=''${CREDENTIALS_DIRECTORY-${credentials}}
        # Programs that encrypt and copy backups.
        export PATH=$PATH''${PATH:+:}${
          lib.makeBinPath [
            pkgs.age
            pkgs.openssh
            pkgs.rsync
          ]
        }
        exec ${lib.getExe cfg.package} "$@"
      '';
      secretFiles =
        map (p: lib.nameValuePair p.credential p.file) cfg.passwordCredentials
        ++ lib.mapAttrsToList (name: secret: lib.nameValuePair name secret.file) cfg.secrets
        ++ lib.optional (cfg.database.urlFile != null) (
          lib.nameValuePair "database-url" cfg.database.urlFile
        )
        ++ lib.optional (cfg.dashboard.passwordFile != null) (
          lib.nameValuePair "dashboard-password" cfg.dashboard.passwordFile
        )
        ++ lib.optional (cfg.backup.enable && cfg.backup.remoteKeyFile != null) (
          lib.nameValuePair "backup-remote-key" cfg.backup.remoteKeyFile
        )
        ++ lib.optional (cfg.backup.enable && cfg.backup.s3.secretKeyFile != null) (
          lib.nameValuePair "backup-s3" cfg.backup.s3.secretKeyFile
        );
      configFile =
        pkgs.runCommand "postrider.toml"
          {
            preferLocalBuild = true;
          }
          ''
            # Certificates, secrets and sockets do not exist during the build: only the file itself is checked, with the scripts
            # and accounts that it names.
            ${lib.optionalString (stdenv.buildPlatform == stdenv.hostPlatform) ''
              ${lib.getExe cfg.package} check --syntax-only ${generated}
            ''}
            cp ${generated} $out
          '';

      settings = {
        hostname = cfg.hostname;
        storage.mail_root = cfg.mailRoot;
      };
    };

    systemd.tmpfiles.settings."10-postrider" = {
      ${credentials}.d = {
        mode = "0700";
        user = "root";
        group = "root";
      };
      ${cfg.mailRoot}.d = {
        mode = "0700";
        user = "vmail";
        group = "vmail";
      };
      # Control sockets, those of each role and the one for what scripts send, and the socket of delivery. Nobody may take away those of others.
      "/run/postrider".d = {
        mode = "3770";
        user = "root";
        group = "postrider";
      };
      # The group writes here too: accounts and queue are one SQLite database unless another engine is chosen.
      "/var/lib/postrider".d = {
        mode = "2770";
        user = "root";
        group = "postrider";
      };
      ${import ./lib/spool.nix cfg}.d = {
        mode = "0700";
        user = "postrider-mta";
        group = "postrider";
      };
    }
    // lib.listToAttrs (
      map (
        { name, value }: lib.nameValuePair "${credentials}/${name}" { "L+".argument = toString value; }
      ) secretFiles
    );

    users = {
      groups = {
        postrider = { };
        vmail.gid = lib.mkDefault 5000;
      };
      users = {
        postrider-dashboard = {
          description = "Postrider's monitoring page";
          group = "postrider";
          isSystemUser = true;
        };
        postrider-mta = {
          description = "Postrider's mail transfer role";
          group = "postrider";
          isSystemUser = true;
        };
        # The owner of all mail, with the number it has in the container stack that this replaces, so that a mail
        # root can be moved as it is. A different one if the machine already uses that number.
        vmail = {
          description = "Owner of all mailboxes";
          extraGroups = [ "postrider" ];
          group = "vmail";
          isSystemUser = true;
          uid = lib.mkDefault 5000;
        };
      };
    };
  };
}
