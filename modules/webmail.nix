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
in
{
  options.services.postrider.webmail = {
    enable = mkEnableOption ''
      the webmail. Browsers reach it at `/webmail/` of the host's name with `reverseProxy.enable`, or through a proxy of your
      own in front of `listeners.webmail`'';
    attachment = mkOption {
      type = own.size;
      default = "25M";
      example = "50M";
      description = "Largest attachment that can be uploaded.";
    };
  };

  config = mkIf cfg.enable (mkMerge [
    { services.postrider.settings.webmail.enabled = cfg.webmail.enable; }
    (mkIf cfg.webmail.enable {
      services.postrider = {
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
