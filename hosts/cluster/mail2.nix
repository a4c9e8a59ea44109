# Mail node 2.
{
  imports = [ ./node.nix ];
  networking.hostName = "mail2";
  services.postrider.cluster.address = "10.0.0.12";
}
