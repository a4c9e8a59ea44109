# The load balancer: passes connections on as they come, TLS and all, and names the real client in a PROXY header. Any node
# takes any client, and passes one that belongs to another node on to it.
{ addresses, lib, ... }:
let
  ports = {
    imap = 143;
    imaps = 993;
    pop3 = 110;
    pop3s = 995;
    sieve = 4190;
    smtp = 25;
    submission = 587;
    submissions = 465;
  };
  servers =
    port:
    lib.concatStrings (
      lib.mapAttrsToList (name: address: ''
        server ${name} ${address}:${toString port} send-proxy-v2 check check-send-proxy inter 3s
      '') addresses.nodes
    );
in
{
  imports = [ ./addresses.nix ];

  networking.hostName = "balancer";
  networking.domain = "example.com";

  services.haproxy = {
    enable = true;
    config = ''
      defaults
        mode tcp
        balance source
        timeout connect 5s
        # A phone that waits for mail is silent for half an hour.
        timeout client 35m
        timeout server 35m
    ''
    + lib.concatStrings (
      lib.mapAttrsToList (name: port: ''

        listen ${name}
          bind :::${toString port} v4v6
          ${servers port}
      '') ports
    );
  };
  networking.firewall.allowedTCPPorts = lib.attrValues ports;

  boot.loader.grub.device = "/dev/vda";
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  system.stateVersion = "26.05";
}
