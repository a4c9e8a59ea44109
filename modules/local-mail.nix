# `sendmail` for the programs of this machine: cron, smartd, the event daemon of ZFS and others that know nothing of SMTP.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    mkIf
    mkOption
    types
    ;
  cfg = config.services.postrider;
  to = cfg.localMail.to;
  own = import ./lib/types.nix { inherit lib; };
  inherit (import ./lib/addresses.nix { inherit lib; }) hostsOf;
in
{
  options.services.postrider.localMail.to = mkOption {
    type = types.nullOr own.address;
    default = null;
    example = "john@example.com";
    description = ''
      Who gets what programs of this machine write to `root` and its other users; for that they get a `sendmail`, that of
      `programs.msmtp`. It hands mail over as a stranger would, so that only addresses of this server are reached, and it
      keeps nothing: where mail is refused the program is told. `null` leaves the machine without a `sendmail`.
    '';
  };

  config = mkIf (cfg.enable && to != null) {
    assertions = [
      {
        assertion = cfg.listeners.smtp.enable;
        message = "services.postrider.localMail.to: programs of this machine hand their mail over by SMTP, which is not served; set listeners.smtp.enable = true, or take it out.";
      }
    ];

    programs.msmtp = {
      enable = true;
      defaults.aliases = "${pkgs.writeText "postrider-local-mail" "default: ${to}\n"}";
      accounts.default = {
        host = lib.head (hostsOf cfg.listeners.smtp);
        inherit (cfg.listeners.smtp) port;
        auth = false;
        # On the machine itself.
        tls = false;
        # The user whose program it is.
        from = "%U@${cfg.hostname}";
      };
    };
  };
}
