# A complete mail server for example.com, to copy and change. Everything with `example` in it is yours to replace;
# the rest can stay. Secrets are files on the machine (agenix, sops-nix or by hand), never text in here. The option `secrets` says
# what restarts the roles when the content of one changes.
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

    # If the machine's provider blocks port 25, send through another host.
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

    # Calendars and contacts for phones, at https://mail.example.com/dav/
    dav.enable = true;

    # Mail programs find their settings by themselves, and other servers learn to require TLS.
    reverseProxy = {
      enable = true;
      mtaSts = "testing";
    };

    # http://localhost:8080 on the server; from elsewhere through ssh -L 8080:localhost:8080.
    dashboard.enable = true;

    # Every night, with a drill every week. After a fire or theft only a copy elsewhere remains: fill in where to.
    backup = {
      enable = true;
      # remote = "backup@vault.example.com:postrider";
      # remoteKeyFile = "/run/secrets/backup-ssh-key";
      # remoteHostKeys = [ "vault.example.com ssh-ed25519 …" ]; # ssh-keyscan vault.example.com
      # remoteSchedule = "daily";
      # ageRecipients = [ "age1…" ]; # who can read the keys and secrets in backups
    };

    # A summary by mail every day; silence means that something is wrong.
    reports = {
      enable = true;
      to = "john@example.com";
    };

    # Mail to root from cron, smartd and others.
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

  # The records to publish: postrider dns. Problems that stop mail: postrider doctor.

  # For the machine, not the mail server.
  boot.loader.grub = {
    # The disk, for machines with a BIOS; "nodev" for those without, such as ARM.
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
  # Your key; without it the only way in is the console.
  users.users.root.openssh.authorizedKeys.keys = [ ];
  # Memory for a small machine while it builds a new system or loads virus signatures.
  zramSwap.enable = true;
  system.stateVersion = "26.05";
}
