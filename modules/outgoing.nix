# What makes others accept our mail: DKIM signatures, forwarded mail with senders that pass SPF, and a smarthost.
{ config, lib, ... }:
let
  inherit (lib)
    concatLists
    listToAttrs
    literalExpression
    mapAttrsToList
    mkIf
    mkMerge
    mkOption
    nameValuePair
    types
    ;
  cfg = config.services.postrider;
  smarthost = cfg.smarthost;
  own = import ./lib/types.nix { inherit lib; };

  selectorType = types.submodule {
    options = {
      keyFile = mkOption {
        type = own.secretFile;
        example = "/run/secrets/dkim-s1";
        description = "File with the private key in PEM, as `postrider dkim generate` makes it.";
      };
      record = mkOption {
        type = types.nullOr (types.strMatching "v=DKIM1;.*");
        default = null;
        example = "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA";
        description = ''
          Its public half, for `dns.records`; `null` leaves it out there. It is the text of the record that `postrider dkim
          generate` prints: what is between the quotes, joined into one string.
        '';
      };
    };
  };

  keys = concatLists (
    mapAttrsToList (
      domain: d:
      mapAttrsToList (selector: key: {
        inherit domain selector;
        file = key.keyFile;
        credential = "dkim-${selector}-${domain}";
      }) d.dkim.selectors
    ) cfg.domains
  );
in
{
  options.services.postrider = {
    domains = mkOption {
      type = types.attrsWith {
        placeholder = "domain";
        elemType = types.submodule {
          options.dkim.selectors = mkOption {
            type = types.attrsWith {
              elemType = selectorType;
              placeholder = "selector";
            };
            default = { };
            example = literalExpression ''{ s1.keyFile = "/run/secrets/dkim-s1"; }'';
            description = ''
              Keys that sign the domain's mail. Mail is signed with each of them: an RSA and an Ed25519 key side by side,
              or the old and the new one during a key rollover.
            '';
          };
        };
      };
    };
    smarthost = {
      host = mkOption {
        type = types.nullOr own.domain;
        default = null;
        example = "smtp.provider.example";
        description = ''
          Relay host for all outgoing mail, if this machine cannot send it itself: many providers block port 25. `null`
          delivers directly to the recipients' servers. Routes in `settings.outbound.routes` take precedence.
        '';
      };
      port = mkOption {
        type = types.port;
        default = 587;
        example = 465;
        description = "Its port: implicit TLS on 465, STARTTLS on others. TLS is required, with a certificate for the host's name.";
      };
      username = mkOption {
        type = types.nullOr types.nonEmptyStr;
        default = null;
        example = "mail@example.com";
        description = "User name for the login there; `null` if it recognises this machine by its address.";
      };
      spf = mkOption {
        type = types.nullOr types.nonEmptyStr;
        default = null;
        example = "include:_spf.provider.example";
        description = ''
          SPF mechanisms that cover the servers it sends from, as its operator states them, for `dns.records`. With `null`
          these records end in `?all`, which causes no refusals; `-all` would have your own mail refused.
        '';
      };
      passwordFile = mkOption {
        type = types.nullOr own.secretFile;
        default = null;
        example = "/run/secrets/smarthost-password";
        description = "File with the password on its first line.";
      };
    };
    forwarding.srsSecretFile = mkOption {
      type = types.nullOr own.secretFile;
      default = null;
      example = "/run/secrets/srs";
      description = ''
        File with secrets, one per line, of at least 16 octets each. They are used to rewrite the senders of mail that
        aliases forward to other servers (SRS), so that SPF does not fail there. Without it, senders are not rewritten.
      '';
    };
  };

  config = mkIf cfg.enable (mkMerge [
    {
      assertions = [
        {
          assertion = (smarthost.username == null) == (smarthost.passwordFile == null);
          message = "services.postrider.smarthost: a login needs username and passwordFile; set both, or neither.";
        }
        {
          assertion = smarthost.username == null || smarthost.host != null;
          message = "services.postrider.smarthost: username is set, but no host; set smarthost.host.";
        }
        {
          assertion = smarthost.spf == null || smarthost.host != null;
          message = "services.postrider.smarthost: spf is set, but no host; set smarthost.host.";
        }
      ];
    }
    (mkIf (smarthost.host != null) {
      services.postrider = {
        secrets = mkIf (smarthost.passwordFile != null) {
          smarthost-password.file = smarthost.passwordFile;
        };
        settings.outbound.routes = lib.mkAfter [
          (
            {
              domains = [ "*" ];
              inherit (smarthost) host port;
              protection = if smarthost.port == 465 then "implicit" else "starttls";
              tls = "verify";
            }
            // lib.optionalAttrs (smarthost.spf != null) { inherit (smarthost) spf; }
            // lib.optionalAttrs (smarthost.passwordFile != null) {
              inherit (smarthost) username;
              password_file = "credential:smarthost-password";
            }
          )
        ];
      };
    })
    (mkIf (keys != [ ]) {
      services.postrider = {
        secrets = listToAttrs (map (key: nameValuePair key.credential { inherit (key) file; }) keys);
        settings.spam.dkim.keys = map (key: {
          inherit (key) domain selector;
          file = "credential:${key.credential}";
        }) keys;
      };
    })
    (mkIf (cfg.forwarding.srsSecretFile != null) {
      services.postrider = {
        secrets.srs.file = cfg.forwarding.srsSecretFile;
        settings.routing.srs.secret_file = "credential:srs";
      };
    })
  ]);
}
