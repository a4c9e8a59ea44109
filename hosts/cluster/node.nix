# What all mail nodes have in common. Replace everything with `example` in it, and the addresses:
#   10.0.0.5 the load balancer, 10.0.0.10 database and storage, 10.0.0.11 and 10.0.0.12 the mail nodes.
{
  networking.domain = "example.com";

  services.postrider = {
    enable = true;
    openFirewall = true;
    # Clients and other servers know one name: that of the load balancer.
    hostname = "mail.example.com";

    cluster = {
      enable = true;
      # Made once with: openssl rand -base64 48. The same file on every node.
      secretFile = "/run/secrets/postrider-cluster";
      peers = [
        "10.0.0.11"
        "10.0.0.12"
      ];
      balancers = [ "10.0.0.5/32" ];
    };

    # postgres://postrider:PASSWORD@10.0.0.10/mailserver
    database = {
      type = "postgresql";
      createLocally = false;
      urlFile = "/run/secrets/postrider-database";
    };

    domains."example.com" = {
      users.john.hashedPasswordFile = "/run/secrets/mail-john";
      dkim.selectors.s1.keyFile = "/run/secrets/dkim-s1";
    };

    # One certificate for all nodes, renewed by whatever brings secrets to the machines.
    certificates.files = [
      {
        certFile = "/run/secrets/mail.example.com.crt";
        keyFile = "/run/secrets/mail.example.com.key";
      }
    ];

    appliance.enable = true;
  };

  # Mailboxes and the queue lie on the storage. Without it there is no mail: the units wait for the mounts.
  fileSystems =
    let
      mount = path: {
        device = "10.0.0.10:${path}";
        fsType = "nfs";
        options = [
          "nfsvers=4.2"
          "hard"
          "noatime"
          "lookupcache=positive"
          "actimeo=1"
        ];
      };
    in
    {
      "/var/mail/vhosts" = mount "/mail";
      "/var/spool/postrider" = mount "/queue";
      "/" = {
        device = "/dev/disk/by-label/nixos";
        fsType = "ext4";
      };
    };
  systemd.services = {
    postrider-access.unitConfig.RequiresMountsFor = "/var/mail/vhosts";
    postrider-mta.unitConfig.RequiresMountsFor = "/var/spool/postrider";
  };

  boot.loader.grub.device = "/dev/vda";
  services.openssh = {
    enable = true;
    settings.PasswordAuthentication = false;
  };
  system.stateVersion = "26.05";
}
