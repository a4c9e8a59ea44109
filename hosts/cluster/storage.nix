# Database and storage of the nodes, both on one machine to keep the example short. A failure here affects everybody: use
# a replicated database with one primary and a storage that survives a disk.
{
  addresses,
  config,
  lib,
  ...
}:
let
  nodes = lib.attrValues addresses.nodes;
  usesNftables = config.networking.nftables.enable;
in
{
  imports = [ ./addresses.nix ];

  networking.hostName = "storage";
  networking.domain = "example.com";

  services.postgresql = {
    enable = true;
    enableTCPIP = true;
    ensureDatabases = [ "mailserver" ];
    ensureUsers = [ { name = "postrider"; } ];
    # The password is set once by hand: ALTER ROLE postrider PASSWORD '...'; ALTER DATABASE mailserver OWNER TO postrider;
    authentication = lib.concatMapStrings (node: ''
      host mailserver postrider ${node}/32 scram-sha-256
    '') nodes;
  };

  # `sync`: data confirmed to a node is on disk here. Backups read as root.
  services.nfs.server = {
    enable = true;
    exports = "/srv ${
      lib.concatMapStringsSep " " (node: "${node}(rw,fsid=0,sync,no_subtree_check,no_root_squash)") nodes
    }\n";
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

  # The storage and the database are for the nodes alone.
  networking.firewall = {
    extraInputRules = lib.mkIf usesNftables ''
      ip saddr { ${lib.concatStringsSep ", " nodes} } tcp dport { 2049, 5432 } accept
    '';
    extraCommands = lib.mkIf (!usesNftables) ''
      iptables -A nixos-fw -p tcp -s ${lib.concatStringsSep "," nodes} -m multiport --dports 2049,5432 -j nixos-fw-accept
    '';
  };

  boot.loader.grub.device = "/dev/vda";
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  system.stateVersion = "26.05";
}
