# The DNS records this configuration needs, as a value that other modules (NSD, octoDNS…) can read.
{ config, lib, ... }:
let
  inherit (lib)
    concatLists
    mapAttrsToList
    mkIf
    mkOption
    optional
    optionals
    types
    ;
  cfg = config.services.postrider;
  record = name: type: value: { inherit name type value; };
  proxy = cfg.reverseProxy;
  web = cfg.web;
  policy = (import ./lib/web-files.nix { inherit lib; }).mtaSts cfg.hostname;
  # RFC 8461 §3.1: another policy has another id. The server computes the same, of lines that end as it writes them.
  id = text: builtins.substring 0 20 (builtins.hashString "sha256" text);
  idOfOurs = id (lib.replaceStrings [ "\n" ] [ "\r\n" ] (policy web.mtaSts));
  ports = lib.mapAttrs (_: listener: listener.port) (
    lib.filterAttrs (_: listener: listener.enable) cfg.listeners
  );
  recordsOf =
    domain:
    import ./lib/dns-records.nix {
      inherit domain ports;
      inherit (cfg) hostname;
      davPort = if cfg.dav.enable then cfg.dav.publicPort else null;
    }
    ++ concatLists (
      mapAttrsToList (
        selector: key:
        optional (key.record != null) (record "${selector}._domainkey.${domain}." "TXT" key.record)
      ) cfg.domains.${domain}.dkim.selectors
    )
    ++ optional (proxy.enable && proxy.autoconfig) (
      record "autoconfig.${domain}." "CNAME" "${cfg.hostname}."
    )
    ++ optionals (proxy.enable && proxy.mtaSts != null) [
      (record "mta-sts.${domain}." "CNAME" "${cfg.hostname}.")
      (record "_mta-sts.${domain}." "TXT" "v=STSv1; id=${id (policy proxy.mtaSts)};")
    ]
    ++ optionals web.autoconfig.enable [
      (record "autoconfig.${domain}." "CNAME" "${cfg.hostname}.")
      (record "autodiscover.${domain}." "CNAME" "${cfg.hostname}.")
    ]
    ++ optionals (web.mtaSts != null) [
      (record "mta-sts.${domain}." "CNAME" "${cfg.hostname}.")
      (record "_mta-sts.${domain}." "TXT" "v=STSv1; id=${idOfOurs};")
    ];
in
{
  options.services.postrider.dns.records = mkOption {
    type = types.listOf (types.attrsOf types.str);
    readOnly = true;
    description = ''
      Records to publish for the declared domains, each with `name` (with the final dot), `type` and `value`. The
      address records of the host itself depend on its network, and keys are not known when this is
      evaluated: `postrider dns` prints those too.
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
    services.postrider.dns.records = concatLists (
      mapAttrsToList (domain: _: recordsOf domain) cfg.domains
    );
  };
}
