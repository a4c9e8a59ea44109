{
  description = "Postrider: a complete mail server for people who run NixOS";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEach = f: lib.genAttrs systems (system: f (pkgsOf system));
      # The tree-wide formatter of the official style, where nixpkgs has it (since 25.05).
      formatterOf = pkgs: pkgs.nixfmt-tree or pkgs.nixpkgs-fmt;
      pkgsOf = system: nixpkgs.legacyPackages.${system}.extend self.overlays.default;

      host =
        system: path:
        lib.nixosSystem {
          modules = [
            self.nixosModules.default
            path
            { nixpkgs.hostPlatform = lib.mkDefault system; }
          ];
        };
      image = {
        imports = [ ./hosts/iso ];
        _module.args.madeOf = {
          inherit nixpkgs;
          postrider = self;
        };
      };
    in
    {
      overlays.default = final: _prev: {
        postrider = final.callPackage ./modules/package.nix { };
      };

      # Without the overlay: machines whose packages are made elsewhere, those of tests among them, refuse one.
      nixosModules.default =
        { lib, pkgs, ... }:
        {
          _class = "nixos";
          # Of one name, however often it is imported.
          key = "${toString ./.}#nixosModules.default";
          imports = [ ./modules ];
          services.postrider.package = lib.mkDefault (pkgs.callPackage ./modules/package.nix { });
        };

      nixosConfigurations = {
        cluster-balancer = host "x86_64-linux" ./hosts/cluster/balancer.nix;
        cluster-mail1 = host "x86_64-linux" ./hosts/cluster/mail1.nix;
        cluster-mail2 = host "x86_64-linux" ./hosts/cluster/mail2.nix;
        cluster-storage = host "x86_64-linux" ./hosts/cluster/storage.nix;
        server = host "x86_64-linux" ./hosts/server;
        iso = host "x86_64-linux" image;
        server-aarch64 = host "aarch64-linux" ./hosts/server;
        iso-aarch64 = host "aarch64-linux" image;
      };

      packages = forEach (pkgs: {
        default = pkgs.postrider;
        inherit (pkgs) postrider;
        docs = import ./modules/lib/docs.nix { inherit lib pkgs self; };
        iso = (host pkgs.stdenv.hostPlatform.system image).config.system.build.isoImage;
        oci-image = import ./modules/lib/oci-image.nix { inherit pkgs; };
      });

      apps = forEach (
        pkgs:
        let
          app = name: description: text: {
            type = "app";
            program = lib.getExe (
              pkgs.writeShellApplication {
                inherit name text;
                runtimeInputs = [ pkgs.postrider ];
              }
            );
            meta = { inherit description; };
          };
        in
        {
          default =
            app "postrider-demo" "Start a whole mail server on loopback ports, with two users to try it with"
              ''exec postrider demo "$@"'';
          bench =
            app "postrider-bench" "Start and stop a server with a thousand accounts, as a target of a benchmark"
              ''
                export POSTRIDER_BIN=${lib.getExe pkgs.postrider}
                exec ${pkgs.runtimeShell} ${./benches/postrider.sh} "$@"
              '';
        }
      );

      checks = forEach (
        pkgs:
        import ./vm-tests {
          inherit lib pkgs self;
          systems = lib.intersectLists systems (lib.attrNames nixpkgs.legacyPackages);
        }
        // {
          package = pkgs.postrider;
          docs = self.packages.${pkgs.stdenv.hostPlatform.system}.docs;
        }
      );

      devShells = forEach (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ pkgs.postrider ];
          packages = with pkgs; [
            cargo-deny
            clippy
            curl
            isync
            mariadb
            (formatterOf pkgs)
            postgresql
            rustfmt
            swaks
          ];
        };
      });

      formatter = forEach formatterOf;

      templates.default = {
        path = ./templates/default;
        description = "A machine with a mail server for one domain";
      };
    };
}
