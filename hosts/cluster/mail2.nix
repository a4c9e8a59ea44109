# Mail node 2.
{
  imports = [ ./node.nix ];
  networking.hostName = "mail2";
}
