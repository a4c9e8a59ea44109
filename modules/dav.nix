# Calendars and contacts for telephones and other programs, served by the role that has the mailboxes on the listeners of the
# webmail.
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
  https = cfg.listeners.https;
  pages = import ./lib/pages.nix config;
  inherit (import ./lib/addresses.nix { inherit lib; }) isLoopback;
in
{
  options.services.postrider.dav = {
    enable = mkEnableOption ''
      calendars and contacts (CalDAV, CardDAV). Programs reach them at `/dav/` under the host's name with `reverseProxy.enable`
      or `listeners.https.enable` (the default with `certificates.builtinAcme` if no web server runs), or through your own
      proxy that passes `/dav/`, `/.well-known/caldav` and `/.well-known/carddav` to `listeners.webmail`'';
    publicPort = mkOption {
      type = types.nullOr types.port;
      default =
        if cfg.reverseProxy.enable then
          443
        else if https.enable && pages.onHttps && !lib.all isLoopback https.addresses then
          https.port
        else
          null;
      defaultText = lib.literalExpression "443 with reverseProxy.enable, else listeners.https.port if it has them, else null";
      example = 8443;
      description = "Port at which clients elsewhere reach them over TLS, for `dns.records`; `null` leaves their records out.";
    };
  };

  config = mkIf cfg.enable (mkMerge [
    { services.postrider.settings.dav.enabled = cfg.dav.enable; }
    (mkIf cfg.dav.enable {
      services.postrider = {
        listeners.https.enable = mkIf pages.byItself (lib.mkDefault true);
        listeners.webmail.enable = lib.mkDefault true;
        settings.dav = mkIf (cfg.dav.publicPort != null) { public_port = cfg.dav.publicPort; };
      };
    })
  ]);
}
