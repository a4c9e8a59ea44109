# A certificate is not secret and may be beside the configuration; its key may not.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    certificates.selfSigned = false;
    certificates.files = [
      {
        certFile = ./certificate-written-as-a-path.nix;
        keyFile = "/run/secrets/key.pem";
      }
    ];
  };
  holds =
    { lib, config, ... }:
    let
      inherit (lib.head config.services.postrider.certificates.sources) certFile;
      watched = config.systemd.paths.postrider-certificates-renewed.pathConfig.PathChanged;
    in
    [
      (lib.hasPrefix builtins.storeDir certFile)
      (builtins.hasContext certFile)
      (lib.elem certFile watched)
    ];
}
