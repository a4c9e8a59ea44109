{
  networking.hostName = "mail";
  networking.domain = "example.com";

  services.postrider = {
    enable = true;
    openFirewall = true;
    # Made with: postrider user hash
    domains."example.com".users.john.hashedPasswordFile = "/var/lib/secrets/john";
    certificates.builtinAcme = {
      enable = true;
      acceptTerms = true; # https://letsencrypt.org/repository
    };
  };

  # Keep a way in after the switch: your key, or the users this machine has.
  services.openssh.enable = true;
  users.users.root.openssh.authorizedKeys.keys = [ ];

  # Needed by `nix` commands with flakes.
  nix.settings.experimental-features = [
    "flakes"
    "nix-command"
  ];

  # How this machine boots and its network: copy this from its current configuration.
  boot.loader.grub.device = "/dev/vda";
  system.stateVersion = "26.05";
}
