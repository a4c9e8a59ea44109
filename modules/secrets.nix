# Files with secrets, each given to the roles that need it and to no other.
{ config, lib, ... }:
let
  inherit (lib)
    literalExpression
    mkIf
    mkOption
    types
    ;
  cfg = config.services.postrider;
  own = import ./lib/types.nix { inherit lib; };

  # Names that the module itself gives to what the roles get.
  taken = map (p: p.credential) cfg.passwordCredentials ++ [
    "backup-remote-key"
    "backup-s3"
    "dashboard-password"
    "database-url"
  ];
  twice = lib.intersectLists (lib.attrNames cfg.secrets) taken;

  secretType = types.submodule {
    options = {
      file = mkOption {
        type = own.secretFile;
        example = "/run/secrets/route-password";
        description = "File with the secret.";
      };
      roles = mkOption {
        type = types.nonEmptyListOf (
          types.enum [
            "access"
            "dashboard"
            "mta"
          ]
        );
        default = [ "mta" ];
        example = [
          "access"
          "mta"
        ];
        description = "Roles that may read it.";
      };
    };
  };
in
{
  options.services.postrider.secrets = mkOption {
    type = types.attrsOf secretType;
    default = { };
    example = literalExpression ''{ route.file = "/run/secrets/route-password"; }'';
    description = ''
      Secrets for keys in `settings` that expect the path of a file: write `"credential:<name>"` there. systemd passes the
      file to the roles; nobody else on the machine can read it, and it is never copied into the store.

      The same applies to all options that name a file with a secret. A switch restarts the roles when the path of a file has
      changed. When only its content has changed, they keep using the old content: have sops-nix restart the roles that get
      it with `sops.secrets.<name>.restartUnits`, such as `[ "postrider-mta.service" ]` for DKIM keys and smarthost
      passwords, and `[ "postrider-access.service" "postrider-mta.service" ]` for the database; with agenix, restart them by
      hand. Backups, drills and reports read it at their next run.
    '';
  };

  config = mkIf cfg.enable {
    assertions = [
      {
        assertion = twice == [ ];
        message = "services.postrider.secrets: ${lib.concatStringsSep ", " twice}: the name is in use for something else; choose another one.";
      }
    ];
  };
}
