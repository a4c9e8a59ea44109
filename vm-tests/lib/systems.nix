# Everything the flake offers evaluates for every system, not only for the one that runs the tests.
{
  lib,
  pkgs,
  self,
  systems,
}:
let
  outputs = lib.concatMap (
    system:
    lib.mapAttrsToList (name: package: "${system} ${name} ${package.drvPath}") self.packages.${system}
    ++ lib.mapAttrsToList (name: app: "${system} apps.${name} ${app.program}") self.apps.${system}
    ++ [ "${system} devShell ${self.devShells.${system}.default.drvPath}" ]
  ) systems;
in
# Only that it can be evaluated is asked: nothing of it is built for this.
pkgs.writeText "systems" (builtins.unsafeDiscardStringContext (lib.concatLines outputs))
