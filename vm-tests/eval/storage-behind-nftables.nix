# The storage of the example is open to the nodes by either firewall; each refuses the rules of the other.
{
  module =
    { lib, ... }:
    {
      imports = [ ../../hosts/cluster/storage.nix ];
      fileSystems."/".device = lib.mkForce "/dev/vda1";
      networking = {
        # An older NixOS has either a firewall or nftables.
        firewall.enable = false;
        hostName = lib.mkForce "storage";
        nftables.enable = lib.mkDefault true;
      };
      services.postrider.domains."example.test".users.ann = { };
    };
  holds =
    {
      also,
      config,
      lib,
      ...
    }:
    let
      nftables = config.networking.firewall;
      iptables = (also { networking.nftables.enable = false; }).networking.firewall;
      isOpen = lib.hasInfix "2049";
    in
    [
      (isOpen nftables.extraInputRules && !isOpen nftables.extraCommands)
      (isOpen iptables.extraCommands && !isOpen iptables.extraInputRules)
    ];
}
