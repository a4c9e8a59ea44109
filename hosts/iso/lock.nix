# The lock file of an installed server: what the image was made of and has with it, so that the machine need not compile it. There is
# none where a source has no revision, as a checkout with changes.
{
  lib,
  pkgs,
  madeOf,
}:
let
  inherit (import ./installed/flake.nix) inputs;
  node =
    url: source:
    let
      parts = builtins.match "github:([^/]+)/([^/]+)(/(.+))?" url;
      ref = lib.elemAt parts 3;
      place = {
        owner = lib.elemAt parts 0;
        repo = lib.elemAt parts 1;
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
      nixpkgs = node inputs.nixpkgs.url madeOf.nixpkgs;
      postrider = node inputs.postrider.url madeOf.postrider // {
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
