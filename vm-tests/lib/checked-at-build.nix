# Errors that only the program can find stop a build, with file and line. A build of the example server has no warnings.
{
  lib,
  pkgs,
  self,
}:
let
  folder =
    scripts:
    pkgs.linkFarm "sieve" (
      lib.mapAttrsToList (name: text: {
        inherit name;
        path = pkgs.writeText name text;
      }) scripts
    );
  fileFor =
    sieve:
    (pkgs.formats.toml { }).generate "postrider.toml"
      (lib.nixosSystem {
        modules = [
          self.nixosModules.default
          ../../hosts/server
          {
            nixpkgs.hostPlatform = pkgs.stdenv.hostPlatform.system;
            services.postrider = { inherit sieve; };
          }
        ];
      }).config.services.postrider.settings;
  # Each with the expected error; empty if nothing is wrong.
  cases = {
    global.sieve.global = folder {
      "lists.sieve" = "keep;\n";
      "spam.sieve" = "keep;\nfileinto \"Junk\";\n";
    };
    global.says = "spam.sieve\".*line 2, ";
    before.sieve.before = [ (pkgs.writeText "early.sieve" "keep;\n\nfly;\n") ];
    before.says = "early.sieve\".*line 3, ";
    good.sieve.global = folder { "lists.sieve" = "keep;\n"; };
  };
in
pkgs.runCommand "checked-at-build" { } (
  lib.concatStrings (
    lib.mapAttrsToList (name: case: ''
      if ${lib.getExe pkgs.postrider} check --syntax-only ${fileFor case.sieve} > said 2>&1; then refused=; else refused=yes; fi
      if [ "$refused" != ${lib.escapeShellArg (lib.optionalString (case ? says) "yes")} ] || ! grep -q ${
        lib.escapeShellArg (case.says or "")
      } said; then
        echo "${name}: another answer was wanted than this:" >&2
        cat said >&2
        exit 1
      fi
      if grep warning: said; then
        echo "${name}: nothing was to be warned of" >&2
        exit 1
      fi
    '') cases
  )
  + "touch $out\n"
)
