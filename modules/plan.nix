# Before a change: anything that users would lose must have been allowed by name, or nothing is changed at all.
{
  config,
  lib,
  options,
  pkgs,
  ...
}:
let
  inherit (lib)
    getExe
    mkIf
    mkMerge
    mkOption
    types
    ;
  cfg = config.services.postrider;
  inherit (import ./lib/rollback.nix) undoing;

  # Beside the gate, not in it: otherwise each entry would change the unit that runs it, and restart it.
  allowed = (pkgs.formats.json { }).generate "allow-destructive.json" cfg.plan.allowDestructive;

  gate = pkgs.writeShellApplication {
    name = "postrider-plan-gate";
    runtimeInputs = [
      cfg.package
      pkgs.jq
    ];
    text = ''
      # A switch that failed is undone as a whole.
      [ ! -e ${undoing} ] || exit 0
      config=''${1:-/etc/postrider/postrider.toml}
      allowed=''${2:-/etc/postrider/allow-destructive.json}
      # A plan that cannot be made is no reason to stop: before the first start there are no tables yet, and a mistake in
      # the declaration is reported by the server itself, which then changes nothing.
      if ! plan=$(postrider --config "$config" --json plan --without-passwords 2>/dev/null); then
        echo "postrider: no plan could be made; the server checks the declaration itself" >&2
        exit 0
      fi
      # A domain as an entry covers everything in it.
      refused=$(jq --raw-output --slurpfile allowed "$allowed" '
        .changes[]
        | select(.destructive)
        | . + { what: (.address // .domain // .source) }
        | .what as $what
        | ($what | split("@") | last) as $domain
        | select(all($allowed[0][]; . != $what and . != $domain))
        | "  \(.change) \(.what)"
      ' <<<"$plan")
      [ -n "$refused" ] || exit 0
      echo "postrider: nothing was changed, because users would lose something:" >&2
      echo "$refused" >&2
      echo "If this is intended, name it in services.postrider.plan.allowDestructive." >&2
      exit 1
    '';
  };
in
{
  options.services.postrider.plan.allowDestructive = mkOption {
    type = types.listOf types.str;
    default = [ ];
    example = [
      "john@example.com"
      "old.example.com"
    ];
    description = ''
      Addresses and domains that may be archived or disabled, and aliases that may be removed, because they are no
      longer declared; a domain includes everything in it. Any other such change stops a switch, a reload or a start and
      lists what would be lost. (Mail is never deleted: what is archived comes back when it is declared again.)
    '';
  };

  config = mkIf cfg.enable (mkMerge [
    {
      environment.etc."postrider/allow-destructive.json".source = allowed;
      systemd.services.postrider-access = {
        # Earlier refusals are checked again.
        reloadTriggers = [ allowed ];
        serviceConfig = {
          # systemd gives the path of the credentials only to the unit's start command.
          ExecReload = lib.mkBefore [ "${pkgs.coreutils}/bin/env CREDENTIALS_DIRECTORY=%d ${getExe gate}" ];
          ExecStartPre = [ (getExe gate) ];
        };
      };
    }
    # Where NixOS has a check before it switches, this runs there too, and the old system stays as it is.
    (lib.optionalAttrs (options.system ? preSwitchChecks) {
      system.preSwitchChecks.postrider-plan = ''
        CREDENTIALS_DIRECTORY=/run/postrider-credentials ${getExe gate} ${cfg.configFile} ${allowed}
      '';
    })
  ]);
}
