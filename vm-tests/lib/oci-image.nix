# The container image has every place that the server writes to, and its user has a name. Only what makes an image of that, the
# tools of nixpkgs, is left out.
{ lib, pkgs }:
let
  image = import ../../modules/lib/oci-image.nix {
    pkgs = pkgs // {
      dockerTools.buildImage = lib.id;
    };
  };
  # The administrator brings the configuration.
  volumes = lib.remove "/etc/postrider" (lib.attrNames image.config.Volumes);
in
pkgs.runCommand "oci-image" { inherit (image) extraCommands gid uid; } ''
  mkdir layer
  cd layer
  eval "$extraCommands"
  for place in /run/postrider ${toString volumes}; do
    [ -d ".$place" ] || { echo "$place is not there" >&2; exit 1; }
  done
  for place in tmp var/tmp; do
    [ "$(stat --format %a $place)" = 1777 ] || { echo "$place is not for everybody" >&2; exit 1; }
  done
  grep "^[^:]*:x:$uid:$gid:" etc/passwd > $out
''
