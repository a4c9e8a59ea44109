# The reference of every option, as Markdown and as one HTML page.
{
  lib,
  pkgs,
  self,
}:
let
  evaluated = self.nixosConfigurations.server;
  doc = pkgs.nixosOptionsDoc {
    options.services.postrider = evaluated.options.services.postrider;
    # Defaults must not depend on the machine, or the documentation would.
    transformOptions = option: option // { declarations = [ ]; };
  };
in
pkgs.runCommand "postrider-docs" { nativeBuildInputs = [ pkgs.cmark ]; } ''
  mkdir -p $out
  cp ${doc.optionsCommonMark} $out/options.md
  {
    echo '<!doctype html><html lang="en"><meta charset="utf-8"><title>Postrider options</title>'
    cmark --unsafe $out/options.md
    echo '</html>'
  } > $out/options.html
''
