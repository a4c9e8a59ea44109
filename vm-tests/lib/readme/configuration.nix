{
  networking.hostName = "mail";
  networking.domain = "example.com";
  services.postrider = {
    enable = true;
    openFirewall = true;
    domains."example.com".users.john.hashedPasswordFile = "/var/lib/secrets/john";
    certificates.builtinAcme = {
      enable = true;
      acceptTerms = true; # https://letsencrypt.org/repository
    };
  };
}
