# Evaluates small configurations that must be refused or warned about, each with the sentence that must be said, or of which
# something must hold, and the hosts, about which nothing must be said.
{
  lib,
  pkgs,
  self,
}:
let
  # Only what is needed to evaluate; nothing is built.
  machine = {
    networking.hostName = "mail";
    networking.domain = lib.mkDefault "example.test";
    boot.loader.grub.device = "/dev/vda";
    fileSystems."/" = {
      device = "/dev/vda1";
      fsType = "ext4";
    };
    system.stateVersion = "26.05";
    nixpkgs.hostPlatform = lib.mkDefault pkgs.stdenv.hostPlatform.system;
    services.postrider = {
      enable = true;
      certificates.selfSigned = lib.mkDefault true;
    };
  };

  evaluate =
    module:
    lib.nixosSystem {
      modules = [
        self.nixosModules.default
        machine
        module
      ];
    };

  failedAssertions =
    module: map (a: a.message) (lib.filter (a: !a.assertion) (evaluate module).config.assertions);

  # A mistake of type has no message that can be read from here; that it is refused at all is what is checked.
  isRefused = value: !(builtins.tryEval (builtins.deepSeq value true)).success;

  among =
    name: wanted: messages:
    lib.optional (
      !(lib.any (lib.hasInfix wanted) messages)
    ) "${name}: wanted a message with `${wanted}`, got: ${lib.concatStringsSep " | " messages}";

  # That one of the messages says what the case wants, and names what is at fault if the case has a `naming`.
  says =
    name: case: wanted: messages:
    among name wanted messages
    ++ lib.optionals (case ? naming) (
      among name case.naming (lib.filter (lib.hasInfix wanted) messages)
    );

  # A case is refused by an assertion (its `message`), by the type of an option (`option`) or when it is used (`value`), or it
  # is accepted with a `warning`, or as what it has to be (`holds`, a list of facts about the finished configuration).
  judge =
    name: case:
    if case ? value then
      lib.optional (!isRefused (case.value lib)) "${name}: is not refused"
    else if case ? option then
      lib.optional (
        !isRefused (
          lib.getAttrFromPath (
            [
              "services"
              "postrider"
            ]
            ++ case.option
          ) (evaluate case.module).config
        )
      ) "${name}: is not refused by the option's type"
    else if case ? holds then
      lib.concatLists (
        lib.imap1 (n: fact: lib.optional (!fact) "${name}: fact ${toString n} does not hold") (
          case.holds {
            inherit lib;
            inherit (evaluate case.module) config;
            # The same with something more.
            also =
              module:
              (evaluate {
                imports = [
                  case.module
                  module
                ];
              }).config;
          }
        )
      )
      ++ map (message: "${name}: is refused: ${message}") (failedAssertions case.module)
    else if case ? warning then
      says name case case.warning (evaluate case.module).config.warnings
      ++ map (message: "${name}: is refused: ${message}") (failedAssertions case.module)
    else
      says name case case.message (failedAssertions case.module);

  # Our examples must cause no complaints themselves.
  blameless =
    name: host:
    map (message: "${name}: ${message}") (
      host.config.warnings ++ map (a: a.message) (lib.filter (a: !a.assertion) host.config.assertions)
    );
  # All messages and warnings of the modules, as written: each must have a case that causes it.
  found =
    before: file:
    map (text: lib.head (lib.splitString ";\n" text)) (
      lib.tail (lib.splitString before (builtins.readFile (../../modules + "/${file}")))
    );
  sentences = lib.concatMap (file: found " message =" file ++ found " warnings =" file) (
    lib.filter (lib.hasSuffix ".nix") (lib.attrNames (builtins.readDir ../../modules))
  );
  untried =
    cases:
    let
      wanted = lib.mapAttrs (_: case: case.message or case.warning) (
        lib.filterAttrs (_: case: case ? message || case ? warning) cases
      );
      meant = text: lib.filter (lib.hasInfix text) sentences;
    in
    map (line: "no case brings this about: ${line}") (
      lib.filter (line: !(lib.any (text: lib.hasInfix text line) (lib.attrValues wanted))) sentences
    )
    # One that several sentences share would count for those that nothing brings about.
    ++ lib.concatLists (
      lib.mapAttrsToList (
        name: text:
        lib.optional (lib.length (meant text) != 1)
          "${name}: `${text}` is in ${toString (lib.length (meant text))} sentences of the modules, not in one"
      ) wanted
    );

  # Users who build their packages elsewhere may not allow a module to change them.
  ownPackages = lib.optional (
    (evaluate { }).config.nixpkgs.overlays != [ ]
  ) "the module sets nixpkgs.overlays, which no test of NixOS takes";

  # Less memory for one role leaves the others theirs, and less room for messages in flight.
  memory =
    let
      room = module: (evaluate module).config.services.postrider.settings.smtp.memory;
      small = room { services.postrider.memoryMax.mta = "256M"; };
    in
    lib.optional (
      room { } != "469762048" || small != "67108864"
    ) "memoryMax: messages in flight have ${room { }} octets, and ${small} with less memory";

  # What `nix flake init -t` gives somebody.
  template = evaluate {
    imports = [ ../../templates/default/configuration.nix ];
    services.postrider.certificates.selfSigned = false;
  };
  # What kind of machine it is, `nixos-generate-config` says with the least weight.
  portable = lib.optional (
    (import ../../templates/default/configuration.nix).nixpkgs or { } != { }
  ) "template: decides for which kind of machine it is";

  # What the README says to write: a flake, and in its configuration.
  readme = {
    flake = import ./readme/flake.nix;
    host = evaluate {
      imports = [ ./readme/configuration.nix ];
      services.postrider.certificates.selfSigned = false;
    };
  };
  # It says so with its own line breaks. (`nix flake check --no-build` cannot import what is cut out of it.)
  quoted =
    let
      words =
        text:
        lib.filter (word: word != "") (lib.splitString " " (lib.replaceStrings [ "\n" ] [ " " ] text));
      blocks = map (text: lib.head (lib.splitString "```" text)) (
        lib.tail (lib.splitString "```nix\n" (builtins.readFile ../../README.md))
      );
    in
    lib.optional (
      map words [
        (lib.elemAt blocks 0)
        "{ ${lib.elemAt blocks 1} }"
      ] != map (file: words (builtins.readFile file)) [
        ./readme/flake.nix
        ./readme/configuration.nix
      ]
    ) "readme: vm-tests/lib/readme is not what it says";
  # The same flake as that of the template, but for what a machine that has one already has elsewhere.
  joined =
    let
      outputs = readme.flake.outputs {
        nixpkgs.lib.nixosSystem = lib.id;
        postrider.nixosModules.default = "the module";
      };
    in
    lib.optional (
      readme.flake.inputs != (import ../../templates/default/flake.nix).inputs
      || !lib.elem "the module" outputs.nixosConfigurations.mail.modules
    ) "readme: its flake is not that of the template";

  # The installer's output, without the hardware.
  installed = evaluate {
    imports = [ ../../hosts/iso/installed/configuration.nix ];
    nixpkgs.hostPlatform = lib.mkForce pkgs.stdenv.hostPlatform.system;
  };
  # It finds its package on the image.
  taken =
    let
      path = host: host.config.services.postrider.package.outPath;
    in
    lib.optional (
      path self.nixosConfigurations.iso != path (evaluate ../../hosts/iso/installed/configuration.nix)
    ) "installed: its package is not the one of the image";
  # And its sources.
  kept = lib.optional self.nixosConfigurations.iso.config.nix.gc.automatic "iso: collects garbage";
in
{
  check =
    cases:
    let
      wrong = lib.concatLists (
        [
          (untried cases)
          ownPackages
          memory
          taken
          kept
          portable
          joined
          quoted
          (blameless "readme" readme.host)
          (blameless "template" template)
          (blameless "installed" installed)
        ]
        ++ lib.mapAttrsToList judge cases
        ++ lib.mapAttrsToList blameless self.nixosConfigurations
      );
    in
    pkgs.runCommand "evaluation" { } (
      if wrong == [ ] then
        "echo ${toString (lib.length (lib.attrNames cases))} configurations are refused or warned about as they should be > $out"
      else
        ''
          echo ${lib.escapeShellArg (lib.concatStringsSep "\n" wrong)} >&2
          exit 1
        ''
    );
}
