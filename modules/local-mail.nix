# `sendmail` for the programs of this machine: cron, smartd, the event daemon of ZFS and others that know nothing of SMTP.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    getExe
    literalMD
    mapAttrsToList
    mkIf
    mkOption
    types
    ;
  cfg = config.services.postrider;
  local = cfg.localMail;
  own = import ./lib/types.nix { inherit lib; };

  # One program, which acts according to the name it is called by.
  names = pkgs.runCommand "postrider-sendmail" { } ''
    mkdir -p $out/bin
    for name in sendmail mailq newaliases; do ln -s ${getExe cfg.package} $out/bin/$name; done
  '';
in
{
  options.services.postrider.localMail = {
    enable = mkOption {
      type = types.bool;
      default = local.to != null || local.accounts != { };
      defaultText = literalMD "whether `localMail.to` or `localMail.accounts` is set";
      example = true;
      description = ''
        Whether local programs get a `sendmail` (and `mailq` and `newaliases`) that hands their mail to this server,
        which sees from the socket which user a program runs as. Programs of users without an account can reach only
        addresses of this server, and their mail comes from the user's name at `hostname`. Nothing is kept outside the
        server's queue: while the server does not answer, programs wait for a moment and are then told to try again.
      '';
    };

    to = mkOption {
      type = types.nullOr own.address;
      default = null;
      example = "john@example.com";
      description = ''
        Who gets mail that local programs send to `root` and other system users. `null` refuses such mail.
      '';
    };

    accounts = mkOption {
      type = types.attrsOf own.address;
      default = { };
      example = {
        gitea = "git@example.com";
      };
      description = ''
        System users whose programs may send anywhere, each with the account in whose name and within whose limits
        they send: from its address, its aliases and tagged forms of these.
      '';
    };
  };

  config = mkIf (cfg.enable && local.enable) {
    services.postrider = {
      settings = {
        listener = [
          {
            protocol = "sendmail";
            bind = [ "unix:/run/postrider-sendmail.sock" ];
            connections = 50;
            mode = "0666";
          }
        ];
        routing = mkIf (local.to != null) { machine_users = local.to; };
        submission.programs = mapAttrsToList (user: account: { inherit account user; }) local.accounts;
      };
      relaxed.mta.PrivateUsers = {
        value = false;
        because = "it asks the kernel which user a program runs as that hands mail over, and they would all be nobody";
      };
    };

    environment.systemPackages = [ names ];
    # Where nixpkgs modules look for it.
    services.mail.sendmailSetuidWrapper = {
      program = "sendmail";
      source = "${names}/bin/sendmail";
      setuid = false;
      setgid = false;
      owner = "root";
      group = "root";
    };
  };
}
