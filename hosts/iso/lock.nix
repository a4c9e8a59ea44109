# The lock file of an installed server: what the image was made of and has with it, so that the machine need not compile it. There is
# none where a source has no revision, as a checkout with changes.
{
  lib,
  pkgs,
  madeOf,
}:
let
  sources = import ./sources.nix { inherit lib; };
  node =
    {
      owner,
      repo,
      ref,
    }:
    source:
    let
      place = {
        inherit owner repo;
        type = "github";
      };
    in
    {
      locked = place // {
        inherit (source) lastModified narHash rev;
      };
      original = place // lib.optionalAttrs (ref != null) { inherit ref; };
    };
in
if lib.all (source: source ? rev && source ? narHash) (lib.attrValues madeOf) then
  (pkgs.formats.json { }).generate "flake.lock" {
    nodes = {
      nixpkgs = node sources.nixpkgs madeOf.nixpkgs;
      postrider = node sources.postrider madeOf.postrider // {
        inputs.nixpkgs = [ "nixpkgs" ];
      };
      root.inputs = {
        nixpkgs = "nixpkgs";
        postrider = "postrider";
      };
    };
    root = "root";
    version = 7;
  }
else
  null
