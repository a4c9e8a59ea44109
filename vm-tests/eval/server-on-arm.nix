# The example starts on machines with ARM, too, which have UEFI and no BIOS.
let
  grubOn =
    isx86_64:
    (import ../../hosts/server { pkgs.stdenv.hostPlatform = { inherit isx86_64; }; }).boot.loader.grub;
in
{
  module.services.postrider.domains."example.test".users.ann = { };
  holds = _: [
    (grubOn false).efiSupport
    ((grubOn false).device == "nodev")
    ((grubOn true).device == "/dev/vda")
  ];
}
