# Database and storage of the nodes, both on one machine to keep the example short. What fails here fails for everybody: use
# a replicated database with one primary and a storage that survives a disk.
{ pkgs, ... }:
{
  networking.hostName = "storage";
  networking.domain = "example.com";

  services.postgresql = {
    enable = true;
    enableTCPIP = true;
    ensureDatabases = [ "mailserver" ];
    ensureUsers = [ { name = "postrider"; } ];
    # The password is set once by hand: ALTER ROLE postrider PASSWORD '...'; ALTER DATABASE mailserver OWNER TO postrider;
    authentication = ''
      host mailserver postrider 10.0.0.11/32 scram-sha-256
      host mailserver postrider 10.0.0.12/32 scram-sha-256
    '';
  };

  # `sync`: what a node was told is on disk is on disk here. Backups read as root.
  services.nfs.server = {
    enable = true;
    exports = ''
      /srv 10.0.0.11(rw,fsid=0,sync,no_subtree_check,no_root_squash) 10.0.0.12(rw,fsid=0,sync,no_subtree_check,no_root_squash)
    '';
  };
  systemd.tmpfiles.settings."10-mail" = {
    # The numbers of vmail and postrider-mta on the nodes.
    "/srv/mail".d = {
      mode = "0700";
      user = "5000";
      group = "5000";
    };
    "/srv/queue".d = {
      mode = "0700";
      user = "5001";
      group = "5001";
    };
  };
  environment.systemPackages = [ pkgs.nfs-utils ];

  networking.firewall.extraCommands = ''
    iptables -A nixos-fw -p tcp -s 10.0.0.11,10.0.0.12 -m multiport --dports 2049,5432 -j nixos-fw-accept
  '';

  boot.loader.grub.device = "/dev/vda";
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  system.stateVersion = "26.05";
}
