# What all mail nodes have in common. Replace everything with `example` in it, and the addresses in addresses.nix.
{
  addresses,
  config,
  lib,
  ...
}:
{
  imports = [ ./addresses.nix ];

  networking.domain = "example.com";

  services.postrider = {
    enable = true;
    openFirewall = true;
    # Clients and other servers use one name: that of the load balancer.
    hostname = "mail.example.com";

    cluster = {
      enable = true;
      address = addresses.nodes.${config.networking.hostName};
      # Made once with: openssl rand -base64 48. The same file on every node.
      secretFile = "/run/secrets/postrider-cluster";
      peers = lib.attrValues addresses.nodes;
      balancers = [ "${addresses.balancer}/32" ];
    };

    # postgres://postrider:PASSWORD@STORAGE/mailserver, with the address of the storage
    database = {
      type = "postgresql";
      createLocally = false;
      urlFile = "/run/secrets/postrider-database";
    };

    domains."example.com" = {
      users.john.hashedPasswordFile = "/run/secrets/mail-john";
      dkim.selectors.s1.keyFile = "/run/secrets/dkim-s1";
    };

    # One certificate for all nodes, renewed by the tool that deploys secrets.
    certificates.files = [
      {
        certFile = "/run/secrets/mail.example.com.crt";
        keyFile = "/run/secrets/mail.example.com.key";
      }
    ];

    appliance.enable = true;
  };

  # Mailboxes and the queue are on the storage. Without it there is no mail: the units wait for the mounts.
  fileSystems = import ./mounts.nix addresses.storage // {
    "/" = {
      device = "/dev/disk/by-label/nixos";
      fsType = "ext4";
    };
  };

  boot.loader.grub.device = "/dev/vda";
  services.openssh = {
    enable = true;
    settings.PasswordAuthentication = false;
  };
  system.stateVersion = "26.05";
}
