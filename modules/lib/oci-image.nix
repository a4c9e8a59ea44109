# The server as a container image, for machines that run containers. State and configuration are mounted.
{ pkgs }:
pkgs.dockerTools.buildImage {
  name = "postrider";
  tag = pkgs.postrider.version;
  config = {
    Entrypoint = [ "${pkgs.postrider}/bin/postrider" ];
    Cmd = [ "serve" ];
    Env = [ "SSL_CERT_FILE=${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt" ];
    Volumes = {
      "/etc/postrider" = { };
      "/var/lib/postrider" = { };
      "/var/mail/vhosts" = { };
      "/var/spool/postrider" = { };
    };
  };
}
