# The DNS records this configuration needs, as a value that other modules (NSD, octoDNS…) can read.
{ config, lib, ... }:
let
  inherit (lib)
    concatLists
    mapAttrsToList
    mkIf
    mkOption
    optional
    types
    ;
  cfg = config.services.postrider;
  record = name: type: value: { inherit name type value; };
  proxy = cfg.reverseProxy;
  web = cfg.web;
  policyOf = (import ./lib/web-files.nix { inherit lib; }).mtaSts cfg.hostname;
  # At most one of the two serves policies.
  mode = if proxy.enable && proxy.mtaSts != null then proxy.mtaSts else web.mtaSts;
  ports = lib.mapAttrs (_: listener: listener.port) (
    lib.filterAttrs (_: listener: listener.enable) cfg.listeners
  );
  routes = cfg.settings.outbound.routes or [ ];
  recordsOf =
    domain:
    import ./lib/dns-records.nix {
      inherit domain ports routes;
      inherit (cfg) hostname;
      davPort = if cfg.dav.enable then cfg.dav.publicPort else null;
      autoconfig = lib.optionals (web.autoconfig.enable || (proxy.enable && proxy.autoconfig)) [
        "autoconfig"
        "autodiscover"
      ];
      policy = if mode == null then null else policyOf mode;
    }
    ++ concatLists (
      mapAttrsToList (
        selector: key:
        optional (key.record != null) (record "${selector}._domainkey.${domain}." "TXT" key.record)
      ) cfg.domains.${domain}.dkim.selectors
    );
  # The host sends mail itself; if it is also a mail domain, that domain's record covers both.
  ofHost = optional (!(cfg.domains ? ${cfg.hostname})) (
    record "${cfg.hostname}." "TXT" (import ./lib/spf.nix routes "a")
  );
in
{
  options.services.postrider.dns.records = mkOption {
    type = types.listOf (types.attrsOf types.str);
    readOnly = true;
    description = ''
      Records to publish for the declared domains, each with `name` (with the final dot), `type` and `value`. The
      host's own address records depend on its network, and keys are not known at evaluation time: `postrider dns` prints
      those too. SPF records name a smarthost by `smarthost.spf`.
    '';
    example = [
      {
        name = "example.com.";
        type = "MX";
        value = "10 mail.example.com.";
      }
    ];
  };

  config = mkIf cfg.enable {
    services.postrider.dns.records =
      ofHost ++ concatLists (mapAttrsToList (domain: _: recordsOf domain) cfg.domains);
  };
}
