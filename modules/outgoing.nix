# What makes others believe our mail: DKIM signatures, and senders of forwarded mail that pass SPF.
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
          generate` prints: what stands between the quotes, without them and in one piece.
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
              or the old and the new one while keys are exchanged.
            '';
          };
        };
      };
    };
    forwarding.srsSecretFile = mkOption {
      type = types.nullOr own.secretFile;
      default = null;
      example = "/run/secrets/srs";
      description = ''
        File with a secret of at least 16 octets a line, with which the senders of mail that aliases pass on to other
        servers are rewritten (SRS), so that SPF does not fail there. Without it they are not rewritten.
      '';
    };
  };

  config = mkIf cfg.enable (mkMerge [
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
