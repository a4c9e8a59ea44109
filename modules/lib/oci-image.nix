# The server as a container image, for machines that run containers. State and configuration are mounted.
{ pkgs }:
let
  # The owner of the mail, as on NixOS, for `--user`.
  vmail = 5000;
in
pkgs.dockerTools.buildImage {
  name = "postrider";
  tag = pkgs.postrider.version;
  # A volume without anything in it yet gets the owner of its place in the image.
  uid = vmail;
  gid = vmail;
  extraCommands = ''
    mkdir -p etc/ssl/certs run/postrider var/lib/postrider var/mail/vhosts var/spool/postrider
    # For drills of backups, and what SQLite sorts: only root could make them later.
    mkdir -m 1777 tmp var/tmp
    # ssh does not run for a user without a name.
    echo root:x:0:0:root:/root:/bin/sh > etc/passwd
    echo vmail:x:${toString vmail}:${toString vmail}:vmail:/var/lib/postrider:/bin/sh >> etc/passwd
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
