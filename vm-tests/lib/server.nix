# A small mail server for the tests: two users whose passwords are `ann` and `bob`, a self-signed certificate, and
# foreign clients on the machine itself.
{
  self,
  domain ? "example.test",
}:
{ lib, pkgs, ... }:
let
  # bcrypt of the user's own name, cost 4 so that a test does not wait for it.
  hashes = {
    ann = "{BLF-CRYPT}$2b$04$BB2kU6hFukFtF0Ymu6kG0u2BerdxSO6pudVAxmpvbvV3Yc10iJXIu";
    bob = "{BLF-CRYPT}$2b$04$nwiwVKseeTxlNiNHmaoFWuOQX/jRiBCSLBzzilLDKC/YMtDa/zl.a";
  };
in
{
  imports = [ self.nixosModules.default ];

  environment.etc =
    lib.mapAttrs' (user: hash: lib.nameValuePair "secrets/${user}" { text = hash; }) hashes
    // {
      mail-client.source = ./client.py;
    };
  environment.systemPackages = with pkgs; [
    curl
    isync
    jq
    openssl
    python3
    swaks
  ];

  networking = { inherit domain; };

  services.postrider = {
    enable = true;
    hostname = lib.mkDefault "mail.${domain}";
    openFirewall = true;
    appliance.enable = true;
    certificates.selfSigned = true;
    dashboard.enable = true;
    domains.${domain}.users = {
      ann.hashedPasswordFile = "/etc/secrets/ann";
      bob.hashedPasswordFile = "/etc/secrets/bob";
    };
  };

  # Some tests want more.
  virtualisation.memorySize = lib.mkDefault 1024;
}
