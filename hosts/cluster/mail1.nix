# Mail node 1.
{
  imports = [ ./node.nix ];
  networking.hostName = "mail1";
}
