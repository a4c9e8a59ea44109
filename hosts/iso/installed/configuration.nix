# A mail server as installed by `postrider-install`. To change it, edit this file, then: nixos-rebuild switch
# For newer versions, first: nix flake update --flake /etc/nixos
{
  networking.hostName = "mail";
  networking.domain = "example.com";
  nixpkgs.hostPlatform = "x86_64-linux";

  # Starts on machines with a BIOS and with UEFI.
  boot.loader.grub = {
    enable = true;
    device = "/dev/vda";
    efiSupport = true;
    efiInstallAsRemovable = true;
  };

  services.postrider = {
    enable = true;
    openFirewall = true;
    domains."example.com".users."john".hashedPasswordFile = "/etc/secrets/john";

    # For testing. Once the DNS points this server's name here, remove this line and enable the next ones.
    certificates.selfSigned = true;
    # certificates.builtinAcme = {
    #   enable = true;
    #   acceptTerms = true; # https://letsencrypt.org/repository
    # };

    dashboard.enable = true;
    appliance.enable = true;
  };

  nix.settings.experimental-features = [
    "flakes"
    "nix-command"
  ];
  # Memory for a small machine while it builds a new system.
  zramSwap.enable = true;
  services.openssh.enable = true;
  # Your key, for remote logins; at the console root's password is the one set at the end of the installation.
  users.users.root.openssh.authorizedKeys.keys = [ ];
  system.stateVersion = "26.05";
}
