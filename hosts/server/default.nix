# A complete mail server for example.com, to copy and change. Everything with `example` in it is yours to replace;
# the rest can stay. Secrets are files on the machine (agenix, sops-nix or by hand), never texts in here. What restarts the roles
# when the content of one changes says the option `secrets`.
{ pkgs, ... }:
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

    # Where the provider of the machine keeps port 25 shut, another host sends.
    # smarthost = {
    #   host = "smtp.provider.example";
    #   username = "mail@example.com";
    #   passwordFile = "/run/secrets/smarthost-password";
    # };

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

    # Every night, with a drill every week. A copy off this machine is what a fire or a thief leaves: fill in where to.
    backup = {
      enable = true;
      # remote = "backup@vault.example.com:postrider";
      # remoteKeyFile = "/run/secrets/backup-ssh-key";
      # remoteHostKeys = [ "vault.example.com ssh-ed25519 …" ]; # ssh-keyscan vault.example.com
      # remoteSchedule = "daily";
      # ageRecipients = [ "age1…" ]; # who can read the keys and secrets in backups
    };

    # What has been going on, by mail every day; silence means that something is wrong.
    reports = {
      enable = true;
      to = "john@example.com";
    };

    # What cron, smartd and others write to root.
    localMail.to = "john@example.com";

    # This machine is only a mail server. A switch after which a port is silent is undone.
    appliance = {
      enable = true;
      autoRollback = true;
      # Every night the newest security fixes, from the flake that this file is in.
      # autoUpgrade = "github:example/mail-server";
    };
  };

  security.acme = {
    acceptTerms = true;
    defaults.email = "postmaster@example.com";
  };

  # The records to publish: postrider dns. What keeps mail from coming and going: postrider doctor.

  # Of the machine, not of the mail server.
  boot.loader.grub = {
    # The disk, for machines with a BIOS; "nodev" for those without, as all with ARM.
    device = if pkgs.stdenv.hostPlatform.isx86_64 then "/dev/vda" else "nodev";
    # For machines with UEFI.
    efiSupport = true;
    efiInstallAsRemovable = true;
  };
  fileSystems = {
    "/" = {
      device = "/dev/disk/by-label/nixos";
      fsType = "ext4";
    };
    "/boot" = {
      device = "/dev/disk/by-label/BOOT";
      fsType = "vfat";
      options = [ "umask=0077" ];
    };
  };
  services.openssh = {
    enable = true;
    settings.PasswordAuthentication = false;
  };
  # Your key, without which nobody gets in but at the console.
  users.users.root.openssh.authorizedKeys.keys = [ ];
  # Where a small machine finds room while it builds a new system or loads signatures of viruses.
  zramSwap.enable = true;
  system.stateVersion = "26.05";
}
