# A complete mail server for example.com, to copy and change. Everything with `example` in it is yours to replace;
# the rest can stay. Secrets are files on the machine (agenix, sops-nix or by hand), never texts in here.
{
  networking.hostName = "mail";
  networking.domain = "example.com";

  services.postrider = {
    enable = true;
    openFirewall = true;

    domains."example.com" = {
      users = {
        # A first password from a file with its hash; John may change it, and a rebuild will not change it back.
        john = {
          hashedPasswordFile = "/run/secrets/mail-john";
          quota = "5G";
          aliases = [ "info" ];
        };
        # No password yet: Jane chooses hers by the link that `postrider user invite jane@example.com` prints on the server.
        jane.quota = "10G";
      };
      # Signs what the domain sends. Made with: postrider dkim generate --selector s1 --out FILE example.com
      dkim.selectors.s1.keyFile = "/run/secrets/dkim-s1";
      # One address for several people.
      aliases.sales = [
        "john@example.com"
        "jane@example.com"
      ];
    };

    # The page that such links lead to.
    setUpLinks.enable = true;

    # A certificate from Let's Encrypt for mail.example.com, renewed without a restart. nginx answers for it, see below.
    certificates.acme.enable = true;

    # Where a score makes a message junk, and where it is refused outright.
    spam = {
      threshold = 5.0;
      refuse = 15.0;
      resolver.enable = true;
      clamav.enable = true;
    };

    # https://mail.example.com/webmail/
    webmail.enable = true;

    # Calendars and contacts for telephones, at https://mail.example.com/dav/
    dav.enable = true;

    # Mail programs find their settings by themselves, and other servers learn to insist on TLS.
    reverseProxy = {
      enable = true;
      mtaSts = "testing";
    };

    # http://localhost:8080 on the server; from elsewhere through ssh -L 8080:localhost:8080.
    dashboard.enable = true;

    # This machine is only a mail server.
    appliance.enable = true;
  };

  security.acme = {
    acceptTerms = true;
    defaults.email = "postmaster@example.com";
  };

  # Of the machine, not of the mail server.
  boot.loader.grub.device = "/dev/vda";
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  services.openssh = {
    enable = true;
    settings.PasswordAuthentication = false;
  };
  system.stateVersion = "26.05";
}
