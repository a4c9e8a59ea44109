# An upgrade may restart the machine for a kernel when that is allowed, and kernels do not fill a small /boot.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    appliance = {
      enable = true;
      autoUpgrade = "github:example/mail-server";
      allowReboot = true;
      rebootWindow = { };
    };
  };
  holds =
    { config, ... }:
    let
      inherit (config.system) autoUpgrade;
    in
    [
      autoUpgrade.allowReboot
      (autoUpgrade.rebootWindow.lower == "03:00" && autoUpgrade.rebootWindow.upper == "05:00")
      (config.boot.loader.grub.configurationLimit == 10)
    ];
}
