# Mail node 1.
{
  imports = [ ./node.nix ];
  networking.hostName = "mail1";
  services.postrider.cluster.address = "10.0.0.11";
}
