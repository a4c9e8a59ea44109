# The page where users choose their password, by a link that works once.
{ config, lib, ... }:
let
  inherit (lib)
    mkEnableOption
    mkIf
    mkOption
    types
    ;
  cfg = config.services.postrider;
  links = cfg.setUpLinks;
  own = import ./lib/types.nix { inherit lib; };
in
{
  options.services.postrider.setUpLinks = {
    enable = mkEnableOption ''
      the page where users choose their own password. `postrider user invite john@example.com` prints a link to it, and
      `postrider user invite --all` prints one for everybody without a password. The page is served on port 443, or by the
      reverse proxy if there is one'';
    valid = mkOption {
      type = own.span;
      default = "7d";
      example = "2d";
      description = "How long an unused link stays valid.";
    };
    shortestPassword = mkOption {
      type = types.ints.between 1 71;
      default = 10;
      example = 14;
      description = "Minimum number of characters in a password.";
    };
  };

  config = mkIf (cfg.enable && links.enable) {
    services.postrider = {
      listeners.https.enable = true;
      settings.set_up = {
        inherit (links) valid;
        shortest_password = links.shortestPassword;
      };
    };
  };
}
