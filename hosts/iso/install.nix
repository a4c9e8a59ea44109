# Installs a mail server on a disk of the machine: looks whether it can download what it needs, asks, shows what it will do to
# the disk, and does it once confirmed.
{
  pkgs,
  # URLs that must answer, see `downloads.nix`.
  downloads,
  # See `lock.nix`.
  lock ? null,
}:
let
  configuration = ./installed/configuration.nix;
  flake = ./installed/flake.nix;
  origin =
    if lock == null then
      "the newest one, compiled on this machine: this image was not made from a known revision"
    else
      "the one of this image";
in
pkgs.writeShellApplication {
  name = "postrider-install";
  # The rest is that of the image: `postrider`, `nixos-install`, `sfdisk`…
  runtimeInputs = [
    pkgs.curl
    pkgs.dosfstools
    pkgs.e2fsprogs
  ];
  text = ''
    # postrider-install [--prepare]    --prepare stops before NixOS itself is installed
    prepare=''${1-}
    target=/mnt
    smallest=$((8 * 1024 * 1024 * 1024))
    downloads=(${pkgs.lib.escapeShellArgs downloads})
    disk="" name="" domain="" user="" sure=""

    ask() {
      read -r -p "$1: " "$2" || { echo "Nothing was changed."; exit 0; }
    }
    ${import ./questions.nix}
    give_up() {
      echo "$1" >&2
      exit 1
    }
    # What of that cannot be reached, and why.
    unreachable() {
      local url why
      for url in "''${downloads[@]}"; do
        why=$(curl --silent --show-error --fail --location --head --output /dev/null --max-time 15 "$url" 2>&1) ||
          echo "  $url ($why)"
      done
    }
    # Before the first question, as nothing that is typed would be of use.
    look_for_downloads() {
      local missing sure
      echo "Checking whether this machine can reach what the installation downloads..."
      missing=$(unreachable)
      [ -n "$missing" ] || { echo "It can."; return; }
      echo "It cannot reach:"
      echo "$missing"
      echo "The installation would fail after the disk has been erased. Item 3 of the menu sets an address, a router and a name"
      echo "server by hand; a clock that is wrong ($(date --utc '+%F %R') UTC) or a proxy in between can be the cause as well."
      ask "Continue anyway? (yes/no)" sure
      [ "$sure" = yes ] || { echo "Nothing was changed."; exit 0; }
    }
    size_of() {
      if [ -b "$1" ]; then blockdev --getsize64 "$1"; else stat --format %s "$1"; fi
    }
    # What is on it now.
    contents() {
      local found
      found=$(lsblk --noheadings --output NAME,SIZE,FSTYPE,LABEL "$disk" 2>/dev/null) || return 0
      echo "On it now:"
      echo "$found"
    }
    # The first two cover machines with a BIOS and with UEFI. /boot has the kernels of ten configurations.
    layout() {
      cat <<'LAYOUT'
    label: gpt
    size=1MiB,   type=21686148-6449-6E6F-744E-656564454649, name=bios
    size=1GiB,   type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=efi
                 type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=nixos
    LAYOUT
    }
    # The disk by a name that it keeps: the kernel's may be another one's once the image is removed, and GRUB would be put there.
    lasting() {
      local link
      for link in /dev/disk/by-id/*; do
        if [ "$(readlink -f "$link")" = "$(readlink -f "$disk")" ]; then
          echo "$link"
          return
        fi
      done
      echo "$disk"
    }
    # The file is an example that can be evaluated as it is; here it gets the answers.
    fill_in() {
      # GRUB's BIOS part is for machines that have one.
      local grub=nodev
      [ "$(uname -m)" != x86_64 ] || grub=$(lasting)
      sed -e "s|hostName = \"mail\"|hostName = \"''${name%%.*}\"|" \
        -e "s|networking.domain = \"example.com\"|networking.domain = \"''${name#*.}\"|" \
        -e "s|\"x86_64-linux\"|\"$(uname -m)-linux\"|" \
        -e "s|device = \"/dev/vda\"|device = \"$grub\"|" \
        -e "s|domains.\"example.com\".users.\"john\"|domains.\"$domain\".users.\"$user\"|" \
        -e "s|/etc/secrets/john|/etc/secrets/$user|" "$1"
    }
    # Partition N of a disk, by the name the kernel gives it, whatever link leads to it.
    part() {
      local real
      real=$(readlink -f "$disk")
      case $real in *[0-9]) echo "''${real}p$1" ;; *) echo "$real$1" ;; esac
    }
    # The address set by hand in the menu, or nothing, for DHCP.
    network() {
      local card address router server version=4
      [ -e "$remembered/network" ] || { echo "{ }"; return; }
      { read -r card; read -r address; read -r router; read -r server; } <"$remembered/network"
      case $address in *:*) version=6 ;; esac
      echo "{"
      echo "  networking.interfaces.\"$card\".ipv$version.addresses = ["
      echo "    { address = \"''${address%/*}\"; prefixLength = ''${address#*/}; }"
      echo "  ];"
      case $router in
        "") ;;
        *:*) echo "  networking.defaultGateway6 = { address = \"$router\"; interface = \"$card\"; };" ;;
        *) echo "  networking.defaultGateway = { address = \"$router\"; interface = \"$card\"; };" ;;
      esac
      [ -z "$server" ] || echo "  networking.nameservers = [ \"$server\" ];"
      echo "}"
    }

    address() {
      if [ -e "$remembered/network" ]; then sed -n 2p "$remembered/network"; else echo "from its network"; fi
    }

    look_for_downloads
    # Nothing else makes it.
    mkdir -p "$target"
    echo "Disks of this machine:"
    lsblk --nodeps --paths --output NAME,SIZE,MODEL --exclude 1,7,11 || true
    ask "Which disk" disk
    { [ -b "$disk" ] || [ -f "$disk" ]; } || give_up "$disk is no disk."
    if [ -b "$disk" ] && [ "$(lsblk --nodeps --noheadings --output TYPE "$disk")" = part ]; then
      give_up "$disk is a part of a disk; a server needs a whole one."
    fi
    # What an installation that has failed has left.
    if mountpoint --quiet "$target"; then umount --recursive "$target"; fi
    if [ -b "$disk" ] && lsblk --noheadings --output MOUNTPOINTS "$disk" | grep -q .; then
      give_up "$disk is in use: this image may have been started from it."
    fi
    bytes=$(size_of "$disk")
    [ "$bytes" -ge "$smallest" ] || give_up "$disk is too small: 8 GiB are the least."

    # An existing set-up is taken over, if wanted.
    if [ -e "$remembered/who" ]; then
      { read -r name; read -r domain; read -r user; } <"$remembered/who"
      ask "As $name, with $user@$domain? (yes/no)" sure
    fi
    [ "$sure" = yes ] || ask_who || exit 1
    read -r -s -p "Password for $user@$domain: " word && echo
    read -r -s -p "Once more: " again && echo
    { [ -n "$word" ] && [ "$word" = "$again" ]; } || give_up "The two are not the same. Nothing was changed."

    echo
    contents
    cat <<PLAN

    This will be done:

      $disk ($((bytes / 1024 / 1024 / 1024)) GiB): EVERYTHING ON IT IS ERASED
        1    1 MiB   for machines with a BIOS
        2    1 GiB   /boot, FAT (EFI system partition)
        3  the rest  /, ext4
      NixOS with Postrider as $name, for $user@$domain, with a certificate made on the spot
      (/etc/nixos/configuration.nix says how to get a real one), at the address $(address)
      Postrider is ${origin}

    PLAN
    ask "To continue, type the name of the disk again" sure
    [ "$sure" = "$disk" ] || { echo "Nothing was changed."; exit 0; }

    layout | sfdisk --quiet --wipe always --wipe-partitions always "$disk"
    [ -b "$disk" ] || { echo "$disk is a file: it now has its partitions, and nothing more."; exit 0; }
    udevadm settle
    mkfs.vfat -F 32 -n BOOT "$(part 2)" >/dev/null
    mkfs.ext4 -q -L nixos "$(part 3)"
    mount "$(part 3)" "$target"
    mkdir -p "$target/boot" "$target/etc/nixos" "$target/etc/secrets"
    mount -o umask=0077 "$(part 2)" "$target/boot"

    chmod 700 "$target/etc/secrets"
    (umask 077 && postrider user hash <<<"$word" >"$target/etc/secrets/$user")
    nixos-generate-config --root "$target"
    fill_in ${configuration} >"$target/etc/nixos/configuration.nix"
    network >"$target/etc/nixos/network.nix"
    # By the name of the host, which `nixos-rebuild` looks for.
    sed -e "s|nixosConfigurations.mail|nixosConfigurations.\"''${name%%.*}\"|" ${flake} >"$target/etc/nixos/flake.nix"
    chmod 644 "$target/etc/nixos/flake.nix"
    ${pkgs.lib.optionalString (lock != null) ''
      install -m 644 ${lock} "$target/etc/nixos/flake.lock"
    ''}

    install=(nixos-install --root "$target" --flake "$target/etc/nixos#''${name%%.*}")
    if [ "$prepare" = --prepare ]; then
      echo "Prepared. To install: ''${install[*]}"
      exit 0
    fi
    "''${install[@]}" ||
      give_up "The installation is not complete: see above. The disk is mounted in $target; another attempt begins from the start."
    echo "Installed. Remove the image and restart the machine."
  '';
}
