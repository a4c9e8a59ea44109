# Promise: the image starts on an empty machine, serves mail, and prepares a disk for a server of its own exactly as its
# plan says. (What remains is `nixos-install`, which fetches packages and therefore is not run here.)
{ self }:
{ lib, pkgs, ... }:
let
  host = self.nixosConfigurations.iso;
  # An older NixOS, or its substitute, cannot build images.
  image =
    if builtins.pathExists (pkgs.path + "/pkgs/by-name") then
      let
        extended = host.extendModules {
          modules = [
            (
              { modulesPath, ... }:
              {
                imports = [ (modulesPath + "/testing/test-instrumentation.nix") ];
                environment.etc."mail-client".source = ./lib/client.py;
                environment.systemPackages = [ pkgs.python3 ];
              }
            )
          ];
        };
      in
      "${extended.config.system.build.isoImage}/iso/${extended.config.image.fileName}"
    else
      "/no/image";
  start = lib.concatStringsSep " " [
    "${pkgs.qemu}/bin/qemu-system-x86_64 -machine accel=kvm:tcg -cpu max -m 2048"
    "-cdrom ${image}"
    "-drive file=empty.img,format=raw,if=virtio"
    # Not even where tests may use the network.
    "-netdev user,id=net0,restrict=on -device virtio-net-pci,netdev=net0"
  ];
in
{
  name = "image-boots-and-installs-itself";
  globalTimeout = 1800;
  nodes = { };

  testScript = ''
    import os

    ${builtins.readFile ./lib/mail.py}


    def check_image() -> None:
        machine = create_machine("${start}")
        # Where QEMU is started.
        with open(machine.state_dir / "empty.img", "wb") as disk:
            disk.truncate(10 * 1024**3)
        machine.start()
        machine.wait_for_unit("multi-user.target")

        with subtest("the image serves mail"):
            for role in ("access", "mta", "dashboard"):
                machine.wait_for_unit(f"postrider-{role}.service")
            for user in ("ann", "bob"):
                machine.succeed(f"echo {user} | postrider user passwd {user}@example.test")
            send(machine, "ann@example.test", "ann", "bob@example.test", "from the image")
            wait_for_mail(machine, "bob@example.test", "bob", "from the image")

        with subtest("the menu is on the console, also the serial one"):
            # Not the command that looks for it.
            machine.wait_until_succeeds("pgrep -f '[p]ostrider-menu'", timeout=120)

        # The first is for going on without a network, which only `nixos-install` would need.
        words = ["yes", "/dev/vda", "post.example.net", "example.org", "carol", "horse", "horse"]
        answers = shlex.join(["printf", "%s\\n", *words])

        with subtest("an installation that could not download anything is not begun without asking"):
            out = machine.succeed("echo no | postrider-install --prepare 2>&1")
            assert "https://cache.nixos.org/nix-cache-info (curl: " in out and "Nothing was changed." in out, out

        with subtest("an installation that is not confirmed leaves the disk empty"):
            out = machine.succeed(f"({answers}; echo yes) | postrider-install --prepare 2>&1")
            assert "EVERYTHING ON IT IS ERASED" in out and "Nothing was changed." in out, out
            machine.succeed("cmp -n 2097152 /dev/vda /dev/zero")

        with subtest("one that is confirmed prepares it as it has said"):
            machine.succeed(f"({answers}; echo /dev/vda) | postrider-install --prepare >&2")
            machine.succeed("findmnt --noheadings --output FSTYPE /mnt | grep -x ext4")
            machine.succeed("findmnt --noheadings --output FSTYPE /mnt/boot | grep -x vfat")
            written = machine.succeed("cat /mnt/etc/nixos/configuration.nix")
            for text in ('"post"', '"example.net"', '"example.org".users."carol"', '"/etc/secrets/carol"'):
                assert text in written, text
            assert "example.com" not in written and "john" not in written, written
            machine.succeed("grep -F fileSystems /mnt/etc/nixos/hardware-configuration.nix")
            machine.succeed("test $(stat -c %a /mnt/etc/secrets/carol) = 600")
            machine.succeed("grep -q BLF-CRYPT /mnt/etc/secrets/carol")
            machine.fail("grep -r horse /mnt/etc")

        with subtest("a disk in use is not installed on"):
            machine.succeed("mkdir -p /run/elsewhere && mount /dev/vda3 /run/elsewhere")
            machine.fail(f"({answers}; echo /dev/vda) | postrider-install --prepare >&2")
        machine.shutdown()


    if os.path.exists("${image}"):
        check_image()
    else:
        print("skipped: images are built by a recent NixOS only; ${image} is not there")
  '';
}
