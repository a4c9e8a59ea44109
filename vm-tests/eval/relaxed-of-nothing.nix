# A relaxation that relaxes nothing is a misspelt one.
{
  value =
    lib:
    (import ../../modules/lib/hardening.nix { inherit lib; }).harden {
      PrivateNetworks = {
        value = false;
        because = "it talks to others";
      };
    };
}
