{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
  inputs.postrider.url = "github:postrider/postrider";
  inputs.postrider.inputs.nixpkgs.follows = "nixpkgs";

  outputs =
    { nixpkgs, postrider, ... }:
    {
      nixosConfigurations.mail = nixpkgs.lib.nixosSystem {
        modules = [
          postrider.nixosModules.default
          ./configuration.nix
        ];
      };
    };
}
