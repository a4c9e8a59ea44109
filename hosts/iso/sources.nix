# Where the flakes of an installed server are on GitHub, and of which branch, as `installed/flake.nix` says.
{ lib }:
lib.mapAttrs (
  _: input:
  let
    parts = builtins.match "github:([^/]+)/([^/]+)(/(.+))?" input.url;
  in
  {
    owner = lib.elemAt parts 0;
    repo = lib.elemAt parts 1;
    ref = lib.elemAt parts 3;
  }
) (import ./installed/flake.nix).inputs
