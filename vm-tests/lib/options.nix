# Every option says what it is for and shows how it is written.
{
  lib,
  pkgs,
  self,
}:
let
  documented = lib.filter (o: o.visible && !o.internal) (
    lib.optionAttrSetToDocList self.nixosConfigurations.server.options.services.postrider
  );
  lacks = key: o: lib.optional (!(o ? ${key})) "${o.name} has no ${key}";
  wrong = lib.concatLists (
    map (
      o:
      lacks "description" o
      ++ lib.optional (lib.hasInfix "\n." (
        o.description or ""
      )) "${o.name}: the description has a line of a dot alone"
      ++ lacks "type" o
      # Options inside user-made entries may be mandatory.
      ++ lib.optionals (!o.readOnly && builtins.match ".*[<*].*" o.name == null) (lacks "default" o)
      # Options that cannot be set need no example.
      ++ lib.optionals (!o.readOnly) (lacks "example" o)
    ) documented
  );
in
pkgs.runCommand "options" { } (
  if wrong == [ ] then
    "echo ${toString (lib.length documented)} options are documented > $out"
  else
    ''
      echo ${lib.escapeShellArg (lib.concatStringsSep "\n" wrong)} >&2
      exit 1
    ''
)
