# Everything is written in the official style of its language.
{ lib, pkgs }:
let
  source = lib.fileset.toSource {
    root = ../..;
    fileset = lib.fileset.unions [
      ../../rustfmt.toml
      (lib.fileset.fileFilter (file: file.hasExt "nix" || file.hasExt "rs") ../..)
    ];
  };
in
# An older nixpkgs has a `nixfmt` of another style.
if pkgs ? nixfmt-tree then
  pkgs.runCommand "formatting"
    {
      nativeBuildInputs = [
        pkgs.nixfmt
        pkgs.rustfmt
      ];
    }
    ''
      cd ${source}
      find . -name '*.nix' -exec nixfmt --check {} +
      find src tests -name '*.rs' -exec rustfmt --check --edition 2024 {} +
      touch $out
    ''
else
  pkgs.writeText "formatting" "skipped: this nixpkgs has no formatter of today's style\n"
