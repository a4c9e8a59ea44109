# The sandbox of a unit cannot be relaxed without saying why.
{
  value =
    lib:
    (import ../../modules/lib/hardening.nix { inherit lib; }).harden { PrivateNetwork.value = false; };
}
