# Opens the ports of the protocols that are served to the public, and no other.
{ config, lib, ... }:
let
  inherit (lib)
    attrValues
    filterAttrs
    mkIf
    mkOption
    types
    ;
  cfg = config.services.postrider;
  protocols = import ./lib/ports.nix;
  inherit (import ./lib/addresses.nix { inherit lib; }) isLoopback;
  open = filterAttrs (
    name: listener:
    listener.enable && protocols.${name}.public && !lib.all isLoopback listener.addresses
  ) cfg.listeners;
in
{
  options.services.postrider.openFirewall = mkOption {
    type = types.bool;
    default = false;
    example = true;
    description = ''
      Whether to open the ports of the enabled mail protocols. The monitoring page and the metrics for Prometheus are
      never opened by this; the database is never opened at all.
    '';
  };

  config = mkIf (cfg.enable && cfg.openFirewall) {
    networking.firewall.allowedTCPPorts = lib.sort lib.lessThan (
      map (listener: listener.port) (attrValues open)
    );
  };
}
