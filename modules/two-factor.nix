# Two-factor login: who must have it, and the key that encrypts its secrets.
{ config, lib, ... }:
let
  inherit (lib)
    mkIf
    mkMerge
    mkOption
    types
    ;
  cfg = config.services.postrider;
  own = import ./lib/types.nix { inherit lib; };
  domains = lib.attrNames (lib.filterAttrs (_: domain: domain.requireTwoFactor) cfg.domains);
in
{
  options.services.postrider.twoFactor = {
    required = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = ''
        Whether every user must use two-factor login. A login to the webmail then leads to the page that turns it on, and
        mail programs can log in only with app passwords. For single domains, use `domains.<domain>.requireTwoFactor`. If it
        is not required, users can turn it on themselves.
      '';
    };
    keyFile = mkOption {
      type = types.nullOr own.secretFile;
      default = null;
      example = "/run/secrets/postrider-two-factor";
      description = ''
        File with a key of at least 32 octets, such as `openssl rand -base64 32` makes, that encrypts the secrets of
        two-factor login in the database; `null` stores them unencrypted. Keep a copy: if the key is lost, an administrator
        has to turn two-factor login off for everybody who uses it. Only the role with the webmail gets the key.
      '';
    };
    passwordOpens = mkOption {
      type = types.enum [
        "webmail"
        "everything"
      ];
      default = "webmail";
      example = "everything";
      description = ''
        What the password of a user with two-factor login gives access to: only the webmail, together with a code, or also
        mail programs, without a code.
      '';
    };
    rememberBrowsers = mkOption {
      type = own.span;
      default = "30d";
      example = "0s";
      description = ''
        How long a browser that has provided a code is not asked for another, if its user chooses so; `0s` asks for one at
        every login. The password is always required.
      '';
    };
  };

  config = mkIf cfg.enable (mkMerge [
    {
      services.postrider.settings.login = {
        two_factor = if cfg.twoFactor.required then "required" else "offered";
        two_factor_domains = domains;
        password_with_two_factor = cfg.twoFactor.passwordOpens;
        two_factor_remember = cfg.twoFactor.rememberBrowsers;
      };
      assertions = [
        {
          assertion = !(cfg.twoFactor.required || domains != [ ]) || cfg.webmail.enable;
          message = "services.postrider.twoFactor: users turn on two-factor login in the webmail, so nobody could meet the requirement; set services.postrider.webmail.enable.";
        }
      ];
    }
    (mkIf (cfg.twoFactor.keyFile != null) {
      services.postrider = {
        secrets.two-factor = {
          file = cfg.twoFactor.keyFile;
          roles = [ "access" ];
        };
        settings.login.two_factor_key_file = "credential:two-factor";
      };
    })
  ]);
}
