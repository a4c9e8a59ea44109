# An image that boots to a working mail server for mail.example.test, to try it. The console (also the serial one) shows a
# menu, which can also install a server on a disk; nothing else is kept after a restart.
{
  config,
  lib,
  # The flakes `postrider` and `nixpkgs`.
  madeOf,
  modulesPath,
  pkgs,
  ...
}:
let
  lock = import ./lock.nix { inherit lib madeOf pkgs; };
  downloads = import ./downloads.nix {
    inherit lib lock;
    # An older NixOS has them elsewhere.
    caches = config.nix.settings.substituters or [ ];
  };
in
{
  imports = [ (modulesPath + "/installer/cd-dvd/iso-image.nix") ];

  networking.hostName = "mail";
  networking.domain = "example.test";

  services.postrider = {
    enable = true;
    openFirewall = true;
    certificates.selfSigned = true;
    domains."example.test".users = {
      ann = { };
      bob = { };
    };
    dashboard.enable = true;
    appliance.enable = true;
  };

  # It must start on any machine.
  hardware.enableAllHardware = lib.mkDefault true;

  isoImage = {
    makeBiosBootable = lib.mkDefault pkgs.stdenv.hostPlatform.isx86_64;
    makeEfiBootable = true;
    makeUsbBootable = true;
    # Named by the lock file of an installed server, whose package is that of this system.
    storeContents = lib.optionals (lock != null) (map (flake: flake.outPath) (lib.attrValues madeOf));
  };

  # The same image on a screen and over a serial line.
  boot.kernelParams = [
    "console=${if pkgs.stdenv.hostPlatform.isAarch64 then "ttyAMA0" else "ttyS0"},115200"
    "console=tty0"
  ];
  nix.settings.experimental-features = [
    "flakes"
    "nix-command"
  ];
  # Memory for an installation while it evaluates the new system.
  zramSwap.enable = true;
  # It would remove what an installation takes from the image.
  nix.gc.automatic = false;
  services.getty.autologinUser = "root";
  # At the console, not in every shell.
  programs.bash.loginShellInit = ''
    case $(tty) in /dev/tty1 | /dev/ttyS0 | /dev/ttyAMA0) postrider-menu ;; esac
  '';
  environment.systemPackages = [
    (import ./install.nix { inherit downloads lock pkgs; })
    (import ./menu.nix { inherit pkgs; })
    pkgs.nano
  ];
  system.stateVersion = "26.05";
}
