# What nginx reads in front of everything we have for browsers. Where it is made, NixOS lets gixy judge it.
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
