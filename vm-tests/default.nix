# Every test of the NixOS side: one file, one promise. Found by listing, so that none can be forgotten.
{
  lib,
  pkgs,
  self,
  # Those that this nixpkgs has packages for.
  systems,
}:
let
  nixFiles = dir: lib.filter (lib.hasSuffix ".nix") (lib.attrNames (builtins.readDir dir));
  stem = lib.removeSuffix ".nix";

  # The machine that starts the image is a PC.
  ofPcs = [ "image-boots-and-installs-itself.nix" ];
  others = [ "default.nix" ] ++ lib.optionals (!pkgs.stdenv.hostPlatform.isx86_64) ofPcs;
  promises = lib.subtractLists others (nixFiles ./.);
  vmTests = lib.listToAttrs (
    map (
      file:
      lib.nameValuePair (stem file) (
        pkgs.testers.runNixOSTest (import (./. + "/${file}") { inherit self; })
      )
    ) promises
  );

  refused = map stem (nixFiles ./eval);
  evaluation = import ./lib/evaluation.nix { inherit lib pkgs self; };
in
vmTests
// {
  evaluation = evaluation.check (lib.genAttrs refused (name: import (./eval + "/${name}.nix")));
  checked-at-build = import ./lib/checked-at-build.nix { inherit lib pkgs self; };
  formatting = import ./lib/formatting.nix { inherit lib pkgs; };
  monitoring = import ./lib/monitoring.nix { inherit pkgs self; };
  nginx = import ./lib/nginx.nix { inherit lib pkgs self; };
  oci-image = import ./lib/oci-image.nix { inherit lib pkgs; };
  package-extras = import ./lib/package.nix { inherit pkgs; };
  options = import ./lib/options.nix { inherit lib pkgs self; };
  systems = import ./lib/systems.nix {
    inherit
      lib
      pkgs
      self
      systems
      ;
  };
}
