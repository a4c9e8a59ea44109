# What `postrider user quota` takes with a unit may be declared, and nothing else.
{
  module.services.postrider = {
    domains."example.test".users = {
      ann.quota = "1.5G";
      bob.quota = "250 MiB";
      cid.quota = "0.25t";
    };
  };
  holds =
    {
      also,
      config,
      lib,
    }:
    let
      quota = text: {
        services.postrider.domains."example.test".users.dora.quota = text;
      };
      isTaken =
        text:
        (builtins.tryEval (
          builtins.deepSeq (also (quota text)).services.postrider.domains."example.test".users.dora.quota true
        )).success;
    in
    [
      (config.services.postrider.domains."example.test".users.ann.quota == "1.5G")
      (lib.all isTaken [
        "10G"
        "1.125K"
        "2gb"
      ])
      (
        !lib.any isTaken [
          "0G"
          "0.0G"
          "1.G"
          ".5G"
          "1.2345G"
          "5"
          "-1G"
          "1.5X"
        ]
      )
      # systemd reads no such size.
      (
        !(builtins.tryEval
          (also { services.postrider.memoryMax.mta = "1.5 GiB"; }).services.postrider.memoryMax.mta
        ).success
      )
    ];
}
