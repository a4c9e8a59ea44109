# The page where users choose their password, by a link that works once.
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
  links = cfg.setUpLinks;
  own = import ./lib/types.nix { inherit lib; };
  inherit (import ./lib/addresses.nix { inherit lib; }) ownOf placeOf;
  inherit (import ./lib/proxied.nix) proxied;
in
{
  options.services.postrider.setUpLinks = {
    enable = mkEnableOption ''
      the page where users choose their password themselves. `postrider user invite john@example.com` prints the link to
      it, `postrider user invite --all` one for everybody without a password. The page is served on port 443, or by the
      reverse proxy where there is one'';
    valid = mkOption {
      type = own.span;
      default = "7d";
      example = "2d";
      description = "For how long a link is good, if it has not been used.";
    };
    shortestPassword = mkOption {
      type = types.ints.between 1 71;
      default = 10;
      example = 14;
      description = "How many characters a password must have at least.";
    };
  };

  config = mkIf (cfg.enable && links.enable) (mkMerge [
    {
      services.postrider = {
        listeners.https.enable = true;
        settings.set_up = {
          inherit (links) valid;
          shortest_password = links.shortestPassword;
        };
      };
    }
    (mkIf cfg.reverseProxy.enable {
      services.postrider = {
        listeners.https = {
          addresses = lib.mkDefault [ (ownOf config) ];
          port = lib.mkDefault 8443;
        };
        settings.set_up.address = "https://${cfg.hostname}";
      };
      services.nginx.virtualHosts.${cfg.hostname}.locations."/set-up/" =
        proxied "https://${placeOf cfg.listeners.https}" "";
    })
  ]);
}
