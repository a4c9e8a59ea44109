# The server as a container image, for machines that run containers. State and configuration are mounted.
{ pkgs }:
pkgs.dockerTools.buildImage {
  name = "postrider";
  tag = pkgs.postrider.version;
  # ssh does not run for a user without a name.
  extraCommands = ''
    mkdir -p etc
    echo root:x:0:0:root:/root:/bin/sh > etc/passwd
  '';
  config = {
    Entrypoint = [ "${pkgs.postrider}/bin/postrider" ];
    Cmd = [ "serve" ];
    Env = [
      # `postrider` for administrators (`docker exec`), and the programs that encrypt and copy backups.
      "PATH=${
        pkgs.lib.makeBinPath [
          pkgs.postrider
          pkgs.age
          pkgs.openssh
          pkgs.rsync
        ]
      }"
      "SSL_CERT_FILE=${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt"
    ];
    Volumes = {
      "/etc/postrider" = { };
      "/var/lib/postrider" = { };
      "/var/mail/vhosts" = { };
      "/var/spool/postrider" = { };
    };
  };
}
