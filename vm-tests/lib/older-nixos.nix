# Lets everything here be evaluated against an older NixOS, and its tests run in guests that are not NixOS: options that
# are missing there are accepted without effect, and the program is put on the path without a system profile.
{
  config,
  lib,
  options,
  pkgs,
  ...
}:
let
  inherit (lib) mkIf mkOption types;
  ignored =
    type: default:
    mkOption {
      inherit type default;
      internal = true;
    };
  inherit (config.security.acme) certs;
  # Without those that everybody trusts, which a guest need not.
  authorities = lib.filter (file: !(lib.hasSuffix "/ca-bundle.crt" file)) (
    config.security.pki.certificateFiles
  );
  isServer = options.services ? postrider && config.services.postrider.enable;
in
{
  options = {
    environment.defaultPackages = ignored (types.listOf types.package) [ ];
    networking.nftables.tables = ignored (types.attrsOf types.raw) { };
    services.unbound.settings = ignored (types.attrsOf types.raw) { };
    services.mysql.settings = ignored (types.attrsOf types.raw) { };
    systemd.services = mkOption {
      type = types.attrsOf (
        types.submodule { options.reloadTriggers = ignored (types.listOf types.raw) [ ]; }
      );
    };
    services.nginx.virtualHosts = mkOption {
      type = types.attrsOf (
        types.submodule {
          options.locations = mkOption {
            type = types.attrsOf (
              types.submodule { options.recommendedProxySettings = ignored types.bool false; }
            );
          };
        }
      );
    };
    security.acme.certs = mkOption {
      type = types.attrsOf (types.submodule { config.extraLegoRenewFlags = [ "--no-random-sleep" ]; });
    };
    hardware.enableAllHardware = ignored types.bool false;
    isoImage.makeBiosBootable = ignored types.bool true;
    virtualisation.fileSystems = ignored (types.attrsOf types.raw) { };
    # The older one takes whatever it is.
    virtualisation.memorySize = mkOption { type = types.ints.positive; };
    services.getty.autologinUser = ignored (types.nullOr types.str) null;
    services.getty.helpLine = ignored types.lines "";
    system.preSwitchChecks = ignored (types.attrsOf types.str) { };
    system.autoUpgrade.flake = ignored (types.nullOr types.str) null;
    system.autoUpgrade.rebootWindow = ignored types.raw null;
  };

  config = lib.mkMerge [
    # They would be evaluated without this file, and a guest that is not NixOS cannot switch to them.
    { specialisation = lib.mkForce { }; }
    # Guests that are no virtual machines ask for no memory, and two sizes of it would be noticed only where some are made.
    (mkIf options.virtualisation.memorySize.isDefined {
      assertions = [
        {
          assertion = config.virtualisation.memorySize > 0;
          message = "this is not asked about";
        }
      ];
    })
    (mkIf isServer {
      systemd.tmpfiles.settings.postrider-on-the-path."/usr/local/bin/postrider"."L+".argument =
        "${config.services.postrider.commandLine}/bin/postrider";
    })
    (mkIf (isServer && config.services.postrider.localMail.enable) {
      systemd.tmpfiles.settings.postrider-on-the-path."/usr/local/bin/sendmail"."L+".argument =
        config.services.mail.sendmailSetuidWrapper.source;
    })
    (mkIf (isServer && config.services.postrider.appliance.autoRollback) {
      nixpkgs.overlays = [ (final: _: { util-linux = final.utillinux; }) ];
    })
    # What the firewall would load.
    (mkIf (config.networking.nftables.tables != { }) {
      networking.firewall.enable = lib.mkForce false;
      networking.nftables.ruleset = "";
      nixpkgs.overlays = [
        (final: _: {
          nftables = final.runCommand "nftables-of-the-guest" { } ''
            mkdir -p $out/bin
            ln -s /usr/sbin/nft $out/bin/nft
          '';
        })
      ];
      systemd.services.nftables = {
        serviceConfig = {
          ExecStart = lib.mkForce "/usr/sbin/nft -f ${
            pkgs.writeText "tables.nft" (
              lib.concatStrings (
                lib.mapAttrsToList (
                  name: table: "table ${table.family} ${name} {\n${table.content}}\n"
                ) config.networking.nftables.tables
              )
            )
          }";
          ExecReload = lib.mkForce "";
          ExecStop = lib.mkForce "";
          RemainAfterExit = true;
          Type = "oneshot";
        };
      };
    })
    # The guest's own packages in the places of those of nixpkgs; their users and settings are brought along.
    (mkIf config.services.nginx.enable {
      # The checker of the finished file is not among the guest's packages; `.ci/run` runs it.
      nixpkgs.overlays = [
        (final: _: {
          gixy = final.writeShellScriptBin "gixy" "";
          nginx-config-formatter = final.writeShellScriptBin "nginxfmt" "";
        })
      ];
      services.nginx.package = lib.mkForce (
        pkgs.runCommand "nginx-of-the-guest" { } ''
          mkdir -p $out/bin
          ln -s /usr/sbin/nginx $out/bin/nginx
          ln -s /etc/nginx $out/conf
        ''
      );
      systemd.services.nginx.serviceConfig.StateDirectory = "nginx";
      users.groups.nginx = { };
      users.users.nginx.isSystemUser = true;
    })
    (mkIf (config.virtualisation.fileSystems != { }) {
      environment.etc = lib.mapAttrs' (
        place: mount:
        lib.nameValuePair
          "systemd/system/${lib.replaceStrings [ "/" ] [ "-" ] (lib.removePrefix "/" place)}.mount"
          {
            text = ''
              [Mount]
              What=${mount.device}
              Where=${place}
              Type=${mount.fsType}
              Options=${lib.concatStringsSep "," mount.options}
            '';
          }
      ) config.virtualisation.fileSystems;
    })
    (mkIf config.services.nfs.server.enable {
      environment.etc = {
        exports = { };
        "systemd/system/multi-user.target.wants/nfs-server.service".source =
          "/usr/lib/systemd/system/nfs-server.service";
      };
    })
    # The cluster of the guest, opened to others as it is asked for.
    (mkIf config.services.postgresql.enableTCPIP {
      systemd.services.postgresql-of-the-guest = {
        wantedBy = [ "multi-user.target" ];
        after = [ "postgresql.service" ];
        serviceConfig.Type = "oneshot";
        script =
          let
            rules = pkgs.writeText "pg_hba.conf" config.services.postgresql.authentication;
          in
          ''
            sql() { runuser -u postgres -- psql -tAc "$1"; }
            sql "ALTER SYSTEM SET listen_addresses = '*'"
            cat ${rules} > "$(sql 'SHOW hba_file')"
            systemctl restart 'postgresql@*.service'
            ${lib.concatMapStrings (name: ''
              sql 'CREATE DATABASE "${name}"'
            '') config.services.postgresql.ensureDatabases}
            ${lib.concatMapStrings (user: ''
              sql 'CREATE ROLE "${user.name}" LOGIN'
            '') config.services.postgresql.ensureUsers}
          '';
      };
    })
    # That release's own ACME client, with the `lego` of the guest.
    (mkIf (certs != { }) {
      security.acme.server = lib.mkOverride 900 (config.security.acme.defaults.server or null);
      systemd.services = lib.listToAttrs (
        lib.concatLists (
          lib.mapAttrsToList (name: cert: [
            (lib.nameValuePair "acme-${name}" { })
            # Later releases make it for the names it replaces.
            (lib.nameValuePair "acme-selfsigned-${name}" {
              script = lib.mkForce ''
                cd ${cert.directory}
                openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=${name} \
                  -addext subjectAltName=${
                    lib.concatMapStringsSep "," (n: "DNS:${n}") ([ name ] ++ lib.attrNames cert.extraDomains)
                  } \
                  -keyout key.pem -out fullchain.pem
                cat key.pem fullchain.pem > full.pem
                chmod 640 *.pem
              '';
            })
          ]) certs
        )
      );
      systemd.tmpfiles.settings.acme-of-the-guest = {
        # Where it looks for what every NixOS has.
        "/run/current-system/systemd"."L+".argument = "/usr";
      }
      // lib.mapAttrs' (
        _: cert:
        lib.nameValuePair "${cert.webroot}/.well-known/acme-challenge" {
          d = { inherit (cert) user group; };
        }
      ) (lib.filterAttrs (_: cert: cert.webroot != null) certs);
    })
    (mkIf (authorities != [ ]) {
      environment.etc."ssl/certs/ca-certificates.crt".source = lib.mkForce (
        pkgs.runCommand "authorities" { } ''
          cat ${toString authorities} > $out
        ''
      );
    })
    (mkIf config.services.clamav.daemon.enable {
      users.groups.clamav = { };
      # The guest's own unit would wait for the official signatures.
      systemd.services.clamav-daemon.serviceConfig.ExecStart =
        lib.mkForce "/usr/sbin/clamd --foreground=true";
    })
    (mkIf config.services.rspamd.enable {
      users.groups.rspamd = { };
      environment.etc =
        lib.mapAttrs' (
          name: file: lib.nameValuePair "rspamd/local.d/${name}" { inherit (file) text; }
        ) config.services.rspamd.locals
        // {
          "rspamd/local.d/worker-proxy.inc".text =
            let
              worker = config.services.rspamd.workers.rspamd_proxy;
            in
            lib.concatMapStrings (
              s: "bind_socket = \"${s.socket} mode=${s.mode} owner=_rspamd group=rspamd\";\n"
            ) worker.bindSockets
            + worker.extraConfig;
          "rspamd/rspamd.local.lua".source = config.services.rspamd.localLuaRules;
          "systemd/system/rspamd.service.d/guest.conf".text = ''
            [Service]
            SupplementaryGroups=rspamd
          '';
        };
    })
  ];
}
