# A mail server as `postrider-install` has put it on this disk. Change it, then: nixos-rebuild switch
{
  imports = [ ./hardware-configuration.nix ];

  networking.hostName = "@host@";
  networking.domain = "@hostDomain@";
  nixpkgs.hostPlatform = "@system@";

  # Starts on machines with a BIOS and with UEFI.
  boot.loader.grub = {
    enable = true;
    device = "@disk@";
    efiSupport = true;
    efiInstallAsRemovable = true;
  };

  services.postrider = {
    enable = true;
    openFirewall = true;
    domains."@domain@".users."@user@".hashedPasswordFile = "/etc/secrets/@user@";

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
  services.openssh.enable = true;
  system.stateVersion = "26.05";
}
