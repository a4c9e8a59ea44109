# Promise: from the image's console alone a server is installed on a disk, as the plan says, with the first user's
# password on it as a hash alone, and not even a question is asked where it could not download what it needs. Only what fetches
# packages from the network, `nixos-install`, is played here.
{ self }:
{ lib, pkgs, ... }:
let
  # Notes how it was called, and looks at what it would have begun with.
  played = pkgs.writeShellScript "nixos-install" ''
    set -eu
    [ ! -e /run/no-network ]
    echo "$@" > /run/nixos-install
    cp -r /mnt/etc/nixos /run/written
    findmnt --noheadings --raw --output TARGET,FSTYPE --submounts /mnt > /run/mounts
  '';
  # Without NixOS: the mounts, in the form of the real one.
  generate = pkgs.writeShellScript "nixos-generate-config" ''
    set -eu
    [ "$1" = --root ]
    {
      echo '{ fileSystems = {'
      findmnt --noheadings --raw --output TARGET,UUID,FSTYPE --submounts "$2" | while read -r place uuid type; do
        place=''${place#"$2"}
        echo "\"''${place:-/}\" = { device = \"/dev/disk/by-uuid/$uuid\"; fsType = \"$type\"; };"
      done
      echo '}; }'
    } > "$2/etc/nixos/hardware-configuration.nix"
  '';
  madeOf = lib.genAttrs [ "nixpkgs" "postrider" ] (name: {
    lastModified = 1786313170;
    narHash = "sha256-9BG7OgUWdu0ONDO5X2q6+K4bsuBITkX/3W4nNJu1Ito=";
    rev = builtins.hashString "sha1" name;
  });
  lock = import ../hosts/iso/lock.nix { inherit lib madeOf pkgs; };
in
{
  name = "installer-fills-a-disk";
  globalTimeout = 900;

  nodes.server = {
    imports = [ (import ./lib/server.nix { inherit self; }) ];
    environment.etc = {
      "console.py".source = ./lib/console.py;
      generate.source = generate;
      installer.source = lib.getExe (
        import ../hosts/iso/install.nix {
          inherit lock pkgs;
          downloads = [
            "http://localhost:8099/nix-cache-info"
            "http://localhost:8099/flake.nix"
          ];
        }
      );
      menu.source = lib.getExe (import ../hosts/iso/menu.nix { inherit pkgs; });
      played.source = played;
    };
    environment.systemPackages = [ pkgs.nix ];
  };

  testScript = ''
    import json

    ${builtins.readFile ./lib/mail.py}

    DISK = "/dev/loop0"


    def at_the_console(sure: str) -> str:
        """What a person at the menu sees who installs on the disk, and is `sure` or not."""
        steps = [
            ["Which: ", "5"],
            ["Which disk: ", DISK],
            ["Name of this server (such as mail.example.com): ", "post.example.net"],
            ["Domain of the mail addresses (such as example.com): ", "example.org"],
            ["First user (such as john, for john@example.org): ", "carol"],
            ["Password for carol@example.org: ", "correct horse", "unseen"],
            ["Once more: ", "correct horse", "unseen"],
            ["type the name of the disk again: ", sure],
            ["Which: ", "6"],
        ]
        words = shlex.join(["python3", "/etc/console.py", "/etc/menu", json.dumps(steps)])
        out = str(server.succeed(f"PATH=/run/tools:$PATH {words}"))
        assert "correct horse" not in out, out
        return out


    def without_network(*answers: list[str]) -> str:
        """What a person sees who is asked whether to go on."""
        steps = [["Which: ", "5"], ["Continue anyway? (yes/no): ", "no"], ["Which: ", "6"]]
        steps[1:2] = answers or steps[1:2]
        words = shlex.join(["python3", "/etc/console.py", "/etc/menu", json.dumps(steps)])
        return str(server.succeed(f"PATH=/run/tools:$PATH {words}"))


    def check_installation() -> None:
        # The image has no /mnt.
        server.succeed("mkdir -p /run/tools", "test ! -e /mnt || rmdir /mnt")
        for name, file in (("postrider-install", "installer"), ("nixos-install", "played")):
            server.succeed(f"ln -s /etc/{file} /run/tools/{name}")
        if not is_nixos(server):
            server.succeed("ln -s /etc/generate /run/tools/nixos-generate-config")
        server.succeed("truncate -s 10G /var/tmp/disk", f"losetup --partscan {DISK} /var/tmp/disk")

        with subtest("what cannot be downloaded is named first, and nothing is done unless that is confirmed"):
            out = without_network()
            assert "localhost:8099/nix-cache-info (curl: " in out and "localhost:8099/flake.nix (curl: " in out, out
            assert "Nothing was changed." in out and "Which disk" not in out, out
            server.succeed("mkdir -p /run/cache", "touch /run/cache/nix-cache-info")
            server.succeed("systemd-run --unit=cache --working-directory=/run/cache $(command -v python3) -m http.server 8099")
            server.wait_for_open_port(8099)
            # One is there, the other is not.
            out = without_network(["Continue anyway? (yes/no): ", "yes"], ["Which disk: ", "/dev/null"])
            assert "nix-cache-info (" not in out and "flake.nix (curl: " in out and "404" in out, out
            assert "/dev/null is no disk." in out, out
            server.succeed("touch /run/cache/flake.nix")
            server.succeed(f"cmp -n 2097152 {DISK} /dev/zero")

        with subtest("an installation that is not confirmed leaves the disk empty"):
            out = at_the_console("yes")
            assert "EVERYTHING ON IT IS ERASED" in out and "Nothing was changed." in out, out
            server.succeed(f"cmp -n 2097152 {DISK} /dev/zero")

        server.succeed("mkdir -p /dev/disk/by-id", f"ln -s {DISK} /dev/disk/by-id/lasting")
        with subtest("one that fails says so"):
            server.succeed("touch /run/no-network")
            out = at_the_console(DISK)
            assert "is not complete" in out and "Installed." not in out, out
            server.succeed("rm /run/no-network")

        with subtest("another attempt shows what is on the disk now, and makes what the plan says"):
            server.succeed("mkdir -p /run/postrider-menu")
            server.succeed("printf '%s\\n' eth0 192.0.2.10/24 192.0.2.1 192.0.2.53 > /run/postrider-menu/network")
            out = at_the_console(DISK)
            assert "Installed." in out and "ext4" in out.split("This will be done")[0], out
            table = json.loads(server.succeed(f"lsblk --json --bytes --output NAME,FSTYPE,LABEL,SIZE {DISK}"))
            parts = [(part["fstype"], part["label"]) for part in table["blockdevices"][0]["children"]]
            assert parts == [(None, None), ("vfat", "BOOT"), ("ext4", "nixos")], table
            # Several kernels, each with its initrd.
            assert table["blockdevices"][0]["children"][1]["size"] == 1024**3, table
            assert server.succeed("cat /run/mounts").split("\n")[:2] == ["/mnt ext4", "/mnt/boot vfat"]
            called = server.succeed("cat /run/nixos-install").strip()
            assert called == "--root /mnt --flake /mnt/etc/nixos#post", called

        with subtest("what is installed is a configuration for these answers"):
            server.succeed("nix-instantiate --parse /run/written/*.nix")
            network = server.succeed("cat /run/written/network.nix")
            assert '"192.0.2.10"; prefixLength = 24;' in network and '"192.0.2.1"' in network, network
            assert 'nameservers = [ "192.0.2.53" ]' in network, network
            written = server.succeed("cat /run/written/configuration.nix")
            lasting = '"/dev/disk/by-id/lasting"'
            for text in ('"post"', '"example.net"', '"example.org".users."carol"', '"/etc/secrets/carol"', lasting):
                assert text in written, text
            assert "example.com" not in written and "john" not in written, written
            flake = server.succeed("cat /run/written/flake.nix")
            assert 'nixosConfigurations."post" = ' in flake, flake
            # From the image's own revisions, without anything from the network.
            nix = "nix --extra-experimental-features 'nix-command flakes' --offline"
            locked = json.loads(server.succeed(f"{nix} flake metadata --json --no-update-lock-file path:/run/written"))["locks"]["nodes"]
            assert locked["postrider"]["locked"]["rev"] == "${madeOf.postrider.rev}", locked
            assert locked["nixpkgs"]["locked"]["rev"] == "${madeOf.nixpkgs.rev}", locked
            hardware = server.succeed("cat /run/written/hardware-configuration.nix")
            for place in ("/", "/boot"):
                assert f'"{place}"' in hardware, hardware

        with subtest("the password is there as a hash, for root alone"):
            server.succeed("test $(stat -c %a /mnt/etc/secrets) = 700")
            server.succeed("test $(stat -c %a /mnt/etc/secrets/carol) = 600")
            server.succeed("grep -q BLF-CRYPT /mnt/etc/secrets/carol")
            server.fail("grep -r 'correct horse' /mnt/etc /mnt/boot")

        with subtest("a disk in use is not installed on, nor a part of one"):
            server.succeed("mkdir -p /run/elsewhere", f"mount {DISK}p3 /run/elsewhere")
            for disk, why in ((DISK, "is in use"), (f"{DISK}p2", "is a part of a disk")):
                words = shlex.join(["printf", "%s\\n", disk])
                out = server.execute(f"{words} | /etc/installer 2>&1")[1]
                assert why in out, out


    start_all()
    server.wait_for_unit("postrider-access.service")
    # A container has no disks of its own.
    if server.execute("modprobe loop; test -e /dev/loop-control")[0] != 0:
        print("skipped: this guest has no loop devices")
    else:
        check_installation()
  '';
}
