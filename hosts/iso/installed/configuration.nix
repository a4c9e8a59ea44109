# A mail server as `postrider-install` has put it on this disk. Change it, then: nixos-rebuild switch
# For newer versions, before: nix flake update --flake /etc/nixos
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

    # For trying. When the name of this server leads here in the DNS, take this line out and the next ones in.
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
  # Where a small machine finds room while it builds a new system.
  zramSwap.enable = true;
  services.openssh.enable = true;
  # Your key, to get in from elsewhere; at the console the password of root is the one given at the end of the installation.
  users.users.root.openssh.authorizedKeys.keys = [ ];
  system.stateVersion = "26.05";
}
