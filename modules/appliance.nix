# A dedicated machine: time, security upgrades, and a gate that probes the server after each switch.
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
  appliance = cfg.appliance;
  inherit (import ./lib/hardening.nix { inherit lib; }) harden outbound;
  probed = lib.filterAttrs (_: l: l.enable) cfg.listeners;
  sockets = map (name: "postrider-${name}.socket") (lib.attrNames probed);
  inherit (import ./lib/addresses.nix { inherit lib; }) hostsOf;

  gate = pkgs.writeShellApplication {
    name = "postrider-health-gate";
    runtimeInputs = [
      pkgs.bash
      pkgs.coreutils
    ];
    text = ''
      # Connects to every listener and reads what it says first. Listeners that wait for the client's TLS or HTTP
      # must at least accept the connection.
      # shellcheck disable=SC2016
      talk='exec 3<>"/dev/tcp/$0/$1" && if [ -n "$2" ]; then read -r line <&3 && echo "$line" && [[ $line == "$2"* ]]; fi'
      probe() {
        local name=$1 host=$2 port=$3 greeting=$4 line=""
        while true; do
          # A host that does not answer at all would block us for minutes.
          if line=$(timeout 5 bash -c "$talk" "$host" "$port" "$greeting" 2>/dev/null); then return; fi
          [ "$SECONDS" -lt ${toString appliance.patience} ] || break
          sleep 1
        done
        echo "$name on $host port $port does not answer as expected (got: $line)" >&2
        silent+=("$name")
      }
      silent=()
      ${lib.concatStrings (
        lib.mapAttrsToList (
          name: l:
          lib.concatMapStrings (host: ''
            probe ${name} ${host} ${toString l.port} ${lib.escapeShellArg (greetings.${name} or "")}
          '') (hostsOf l)
        ) probed
      )}
      [ "''${#silent[@]}" = 0 ]
    '';
  };

  # If our socket is not open, another program answers.
  opened = pkgs.writeShellApplication {
    name = "postrider-sockets-opened";
    runtimeInputs = [
      config.systemd.package
      pkgs.coreutils
    ];
    text = ''
      shut=()
      for socket in ${toString sockets}; do
        until systemctl --quiet is-active "$socket"; do
          if [ "$SECONDS" -ge ${toString appliance.patience} ]; then
            echo "$socket is not open, so nobody is served there; another program may have its port: see its journal" >&2
            shut+=("$socket")
            break
          fi
          sleep 1
        done
      done
      [ "''${#shut[@]}" = 0 ]
    '';
  };

  rollback = pkgs.writeShellApplication {
    name = "postrider-rollback";
    runtimeInputs = [
      config.nix.package
      pkgs.coreutils
      pkgs.findutils
      pkgs.util-linux
    ];
    text = ''
      profile=/nix/var/nix/profiles/system
      # After a start of the machine there is no switch to undo.
      [ "$(readlink -f /run/current-system)" != "$(readlink -f /run/booted-system)" ] || exit 0
      # Nor if nothing was switched, or so long ago that the listeners have answered since.
      before=$(find ${before} -mmin -60 -exec cat {} + 2>/dev/null) || exit 0
      [ -n "$before" ] || exit 0
      # Only once: if the previous configuration fails too, an administrator must look. A passing gate resets this.
      [ ! -e ${mark} ] || exit 0
      touch ${mark}
      mkdir -p "$(dirname ${undone})"
      failed=$(readlink -f /run/current-system)
      echo "$failed" >${undone}
      # A system that was only tested is not in the profile. The previous generation there may be one that failed, was refused or
      # never ran.
      action="test"
      for system in "$profile" "$profile"/specialisation/*; do
        if [ "$(readlink -f "$system")" = "$failed" ]; then
          nix-env --profile "$profile" --set "$before"
          action="switch"
          break
        fi
      done
      # The failed switch still holds the lock for switches, and another one would not wait for it.
      mkdir -p /run/nixos
      flock --wait 600 /run/nixos/switch-to-configuration.lock true
      # What the failed configuration added goes with it: the gate of `plan.nix` does not stop that.
      trap 'rm -f ${undoing}' EXIT
      touch ${undoing}
      # It has run here before, so checks that stop other switches do not apply.
      NIXOS_NO_CHECK=1 "$before/bin/switch-to-configuration" "$action"
    '';
  };
  mark = "/run/postrider-rolled-back";
  # The system that was last undone.
  undone = "/var/lib/postrider-appliance/undone";

  # Skipped until something in it is newer: the same one would fail again every night.
  isNewer = pkgs.writeShellApplication {
    name = "postrider-upgrade-is-newer";
    runtimeInputs = [
      config.nix.package
      pkgs.coreutils
    ];
    text = ''
      [ -e ${undone} ] || exit 0
      flake=${lib.escapeShellArg appliance.autoUpgrade}
      case $flake in *"#"*) name=''${flake#*"#"} ;; *) name=$(cat /proc/sys/kernel/hostname) ;; esac
      # If it cannot be evaluated, the upgrade itself reports that.
      system=$(
        nix --extra-experimental-features "nix-command flakes" eval --raw --refresh ${lib.escapeShellArgs fromNewest} \
          "''${flake%%"#"*}#nixosConfigurations.\"$name\".config.system.build.toplevel"
      ) || exit 0
      [ "$system" = "$(cat ${undone})" ] || exit 0
      echo "$system was undone, and there is nothing newer yet; remove ${undone} to try it again" >&2
      exit 1
    '';
  };
  # `--update-input` does the same and will be removed from Nix.
  fromNewest = [
    "--override-input"
    "nixpkgs"
    appliance.nixpkgs
    "--no-write-lock-file"
  ];
  timeOfDay = types.strMatching "([01][0-9]|2[0-3]):[0-5][0-9]";
  inherit (import ./lib/rollback.nix) before noteBefore undoing;

  greetings = {
    smtp = "220";
    submission = "220";
    imap = "* OK";
    pop3 = "+OK";
  };
in
{
  options.services.postrider.appliance = {
    enable = mkEnableOption "settings for a machine that is only a mail server";
    autoUpgrade = mkOption {
      type = types.nullOr types.nonEmptyStr;
      default = null;
      example = "github:example/mail-server";
      description = ''
        Flake to upgrade from every night, with the newest security fixes of its input `nixpkgs`, whatever its lock file
        says; `null` leaves upgrades to the administrator. An upgrade after which a listener does not answer is undone (see
        `autoRollback`), and retried once there is a newer one. A new kernel takes effect only after a reboot (see
        `allowReboot`). One that NixOS allows only with a reboot (`system.switch.inhibitors`) fails and changes nothing:
        run `nixos-rebuild boot` and reboot.
      '';
    };
    allowReboot = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = ''
        Whether `autoUpgrade` may reboot the machine when kernel, kernel modules or initrd have changed; otherwise their
        fixes wait for a manual reboot. `autoRollback` does not undo what takes effect with a reboot.
      '';
    };
    rebootWindow = mkOption {
      type = types.nullOr (
        types.submodule {
          options = {
            lower = mkOption {
              type = timeOfDay;
              default = "03:00";
              example = "23:00";
              description = "Start of the window, as `HH:MM`.";
            };
            upper = mkOption {
              type = timeOfDay;
              default = "05:00";
              example = "04:30";
              description = "End of the window.";
            };
          };
        }
      );
      default = null;
      example = {
        lower = "03:00";
        upper = "05:00";
      };
      description = ''
        When `allowReboot` may reboot the machine; `null` means right after an upgrade. An upgrade outside this window takes
        full effect after the next reboot.
      '';
    };
    nixpkgs = mkOption {
      type = types.nonEmptyStr;
      default = "github:NixOS/nixpkgs/nixos-${config.system.nixos.release}";
      defaultText = lib.literalExpression ''"github:NixOS/nixpkgs/nixos-''${config.system.nixos.release}"'';
      example = "github:NixOS/nixpkgs/nixos-unstable";
      description = "Where `autoUpgrade` takes the newest `nixpkgs` from.";
    };
    patience = mkOption {
      type = types.ints.positive;
      default = 30;
      example = 120;
      description = "How many seconds listeners have to answer after a switch before it counts as failed.";
    };
    autoRollback = mkOption {
      type = types.bool;
      default = appliance.autoUpgrade != null;
      defaultText = lib.literalExpression "appliance.autoUpgrade != null";
      example = true;
      description = ''
        Whether to return to the previous configuration if a listener does not answer after a switch. It goes back one
        step only, and never after a reboot.
      '';
    };
  };

  config = mkIf (cfg.enable && appliance.enable) (mkMerge [
    {
      documentation.enable = lib.mkDefault false;
      environment.defaultPackages = lib.mkDefault [ ];
      programs.command-not-found.enable = lib.mkDefault false;
      xdg = {
        autostart.enable = lib.mkDefault false;
        icons.enable = lib.mkDefault false;
        mime.enable = lib.mkDefault false;
        sounds.enable = lib.mkDefault false;
      };
      # Garbage would fill the disk with the mail.
      nix.gc = {
        automatic = lib.mkDefault true;
        options = lib.mkDefault "--delete-older-than 30d";
      };
      # Nor may kernels fill a small /boot.
      boot.loader = {
        grub.configurationLimit = lib.mkDefault 10;
        systemd-boot.configurationLimit = lib.mkDefault 10;
      };
      # Retries, certificates and signatures depend on the time being right.
      services.timesyncd.enable = lib.mkDefault true;

      systemd.services.postrider-health-gate = {
        description = "Postrider: do all listeners answer?";
        wantedBy = [ "multi-user.target" ];
        after = sockets ++ [
          "postrider-access.service"
          "postrider-mta.service"
          "postrider-sockets.service"
        ];
        wants = [ "postrider-sockets.service" ];
        # Runs again with every configuration that differs, and with every unit that does.
        restartTriggers = [
          cfg.configFile
          cfg.package
        ]
        ++ map (unit: config.systemd.units.${unit}.unit) (
          map (role: "postrider-${role}.service") (import ./lib/roles.nix cfg) ++ sockets
        );
        serviceConfig = {
          DynamicUser = true;
          ExecStart = lib.getExe gate;
          # As root, who may ask the service manager without a message bus.
          ExecStartPre = [ "+${lib.getExe opened}" ];
          # As root, who owns the file.
          ExecStartPost = lib.optional appliance.autoRollback "+${pkgs.coreutils}/bin/rm -f ${mark} ${before}";
          RemainAfterExit = true;
          Type = "oneshot";
        }
        // harden (outbound "it connects to every listener as a client would");
        onFailure = lib.optional appliance.autoRollback "postrider-rollback.service";
      };
    }
    (mkIf appliance.autoRollback {
      system.activationScripts.postrider-before = noteBefore;
      systemd.services.postrider-rollback = {
        description = "Postrider: back to the configuration before";
        # It runs the switch that would otherwise stop it.
        restartIfChanged = false;
        unitConfig.X-StopOnRemoval = false;
        # No sandbox: it replaces the whole system, as an administrator would.
        serviceConfig = {
          Type = "oneshot";
          ExecStart = lib.getExe rollback;
        };
      };
    })
    (mkIf (appliance.autoUpgrade != null) {
      system.autoUpgrade = {
        enable = true;
        flake = appliance.autoUpgrade;
        dates = lib.mkDefault "03:40";
        flags = fromNewest;
        inherit (appliance) allowReboot rebootWindow;
      };
      systemd.services.nixos-upgrade.serviceConfig.ExecCondition = lib.getExe isNewer;
    })
  ]);
}
