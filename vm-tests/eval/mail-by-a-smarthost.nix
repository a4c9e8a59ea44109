# A host that takes all mail is asked after the ways for single domains, over TLS, and its password stays out of the store.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    smarthost = {
      host = "smtp.provider.example";
      port = 465;
      username = "ann";
      passwordFile = "/run/secrets/smarthost";
    };
    settings.outbound.routes = [
      {
        domains = [ "partner.example" ];
        host = "mx.partner.example";
      }
    ];
  };
  holds =
    {
      lib,
      config,
      also,
      ...
    }:
    let
      inherit (config.services.postrider.settings.outbound) routes;
      last = lib.last routes;
      byName =
        lib.last
          (also { services.postrider.smarthost.port = lib.mkForce 587; })
          .services.postrider.settings.outbound.routes;
      texts =
        evaluated:
        map (record: record.value) (
          lib.filter (record: lib.hasPrefix "v=spf1" record.value) evaluated.services.postrider.dns.records
        );
      loads = role: config.systemd.services."postrider-${role}".serviceConfig.LoadCredential;
    in
    [
      (
        map (route: route.host) routes == [
          "mx.partner.example"
          "smtp.provider.example"
        ]
      )
      (last.domains == [ "*" ] && last.protection == "implicit" && last.tls == "verify")
      (last.username == "ann" && last.password_file == "credential:smarthost-password")
      (byName.protection == "starttls")
      (
        texts config == [
          "v=spf1 a ?all"
          "v=spf1 mx ?all"
        ]
      )
      (
        texts (also {
          services.postrider.smarthost.spf = "include:_spf.provider.example";
        }) == [
          "v=spf1 a include:_spf.provider.example -all"
          "v=spf1 mx include:_spf.provider.example -all"
        ]
      )
      (lib.elem "smarthost-password:/run/secrets/smarthost" (loads "mta"))
      (!lib.elem "smarthost-password:/run/secrets/smarthost" (loads "access"))
    ];
}
