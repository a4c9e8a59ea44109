# Mail in a browser, served by the role that has the mailboxes, on this machine's own addresses for a reverse proxy.
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
  inherit (import ./lib/addresses.nix { inherit lib; }) isLoopback;
  pages = import ./lib/pages.nix config;
in
{
  options.services.postrider.webmail = {
    enable = mkEnableOption ''
      the webmail. Browsers reach it at `/webmail/` under the host's name with `reverseProxy.enable`; at the host's name itself
      with `listeners.https.enable`, which is the default with `certificates.builtinAcme` if no web server runs; or
      through your own proxy in front of `listeners.webmail`'';
    attachment = mkOption {
      type = own.wholeSize;
      default = "25M";
      example = "50M";
      description = "Largest attachment that can be uploaded.";
    };
  };

  config = mkIf cfg.enable (mkMerge [
    { services.postrider.settings.webmail.enabled = cfg.webmail.enable; }
    (mkIf cfg.webmail.enable {
      warnings =
        lib.optional
          (
            !cfg.reverseProxy.enable
            && !(cfg.listeners.https.enable && pages.onHttps)
            && !pages.hasWebServer
            && lib.all isLoopback cfg.listeners.webmail.addresses
          )
          "services.postrider.webmail: nobody but this machine reaches the webmail; set listeners.https.enable = true (beside builtinAcme with its challenge \"http-01\") or reverseProxy.enable = true, or let a web server pass requests on to listeners.webmail.";
      services.postrider = {
        listeners.https.enable = mkIf pages.byItself (lib.mkDefault true);
        listeners.webmail.enable = lib.mkDefault true;
        settings = {
          # What users write goes from the role with the mailboxes to the one with the queue over a socket that nobody else
          # may open (`units.nix`).
          listener = [
            {
              protocol = "submission";
              bind = [ "unix:/run/postrider/submission.sock" ];
            }
          ];
          smtp.vouching = true;
          webmail = {
            attachment = cfg.webmail.attachment;
            submission = "/run/postrider/submission.sock";
          };
        };
      };
    })
  ]);
}
