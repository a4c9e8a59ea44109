# The monitoring page: read-only, on this machine's own addresses unless said otherwise.
{ config, lib, ... }:
let
  inherit (lib)
    mkEnableOption
    mkIf
    mkMerge
    mkOption
    types
    ;
  cfg = config.services.postrider;
  own = import ./lib/types.nix { inherit lib; };
  inherit (import ./lib/addresses.nix { inherit lib; }) isWide;
in
{
  options.services.postrider.dashboard = {
    enable = mkEnableOption "the monitoring page";
    passwordFile = mkOption {
      type = types.nullOr own.secretFile;
      default = null;
      example = "/run/secrets/dashboard-password";
      description = ''
        File with the hash of the administrator's password, as `postrider user hash` prints it. Without it, the page is
        served to this machine only, but to all of its users and programs; `postrider check` on the machine warns of that.
      '';
    };
  };

  config = mkIf cfg.enable (mkMerge [
    {
      assertions = [
        {
          assertion = cfg.dashboard.enable || !cfg.listeners.dashboard.enable;
          message = "services.postrider.listeners.dashboard is enabled without the role that serves it; set services.postrider.dashboard.enable = true.";
        }
        {
          assertion = cfg.dashboard.enable || !cfg.listeners.metrics.enable;
          message = "services.postrider.listeners.metrics is enabled without the role that serves it; set services.postrider.dashboard.enable = true.";
        }
      ];
      warnings = lib.optional (
        cfg.dashboard.enable
        && lib.any isWide (cfg.listeners.dashboard.addresses ++ cfg.listeners.metrics.addresses)
      ) "services.postrider.dashboard: the monitoring page or the metrics listen on all interfaces.";
    }
    (mkIf cfg.dashboard.enable {
      services.postrider.listeners = {
        dashboard.enable = lib.mkDefault true;
        metrics.enable = lib.mkDefault true;
      };
    })
    (mkIf (cfg.dashboard.passwordFile != null) {
      services.postrider.settings.dashboard.password_file = "credential:dashboard-password";
    })
  ]);
}
