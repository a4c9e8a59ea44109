# The nginx configuration in front of all our web services. NixOS checks it with gixy when it is built.
{
  lib,
  pkgs,
  self,
}:
let
  inherit
    (lib.nixosSystem {
      modules = [
        self.nixosModules.default
        ../../hosts/server
        {
          nixpkgs.hostPlatform = pkgs.stdenv.hostPlatform.system;
          services.postrider.reverseProxy.dashboard = {
            enable = true;
            allowFrom = [ "192.0.2.0/24" ];
            basicAuthFile = "/run/secrets/htpasswd";
          };
          # Only then the file has a place outside of the unit.
          services.nginx.enableReload = true;
        }
      ];
    })
    config
    ;
in
pkgs.runCommand "nginx.conf" { } "cp ${config.environment.etc."nginx/nginx.conf".source} $out"
