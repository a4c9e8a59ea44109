# Sieve scripts of the site. Users manage their own by ManageSieve (`listeners.managesieve.enable`).
{ config, lib, ... }:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.services.postrider;
  scripts = types.listOf types.path;
  given = lib.filterAttrs (_: value: value != [ ] && value != null);
in
{
  options.services.postrider.sieve = {
    before = mkOption {
      type = scripts;
      default = [ ];
      example = lib.literalExpression "[ ./lists.sieve ]";
      description = ''
        Scripts that run before those of the users, in this order. As long as a script keeps the message, the next one
        runs. Mistakes in them stop the build.
      '';
    };
    after = mkOption {
      type = scripts;
      default = [ ];
      example = lib.literalExpression "[ ./rest.sieve ]";
      description = "Scripts that run after those of the users, if these keep the message.";
    };
    global = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = lib.literalExpression "./sieve";
      description = "Directory with the scripts that users may `include :global`, each as `NAME.sieve`. Mistakes in them stop the build.";
    };
  };

  config = mkIf cfg.enable {
    services.postrider.settings.delivery.sieve = given {
      before = map (path: "${path}") cfg.sieve.before;
      after = map (path: "${path}") cfg.sieve.after;
      global = if cfg.sieve.global == null then null else "${cfg.sieve.global}";
    };
  };
}
