# Puts a mail server on a disk of the machine: asks, shows what it will do to the disk, and does it when that is confirmed.
{ pkgs }:
let
  configuration = ./installed/configuration.nix;
  flake = ./installed/flake.nix;
in
pkgs.writeShellApplication {
  name = "postrider-install";
  # The rest is that of the image: `postrider`, `nixos-install`, `sfdisk`…
  runtimeInputs = [
    pkgs.dosfstools
    pkgs.e2fsprogs
  ];
  text = ''
    # postrider-install [--prepare]    --prepare stops before NixOS itself is installed
    prepare=''${1-}
    target=/mnt
    smallest=$((8 * 1024 * 1024 * 1024))
    disk="" name="" domain="" user="" sure=""

    ask() {
      read -r -p "$1: " "$2" || { echo "Nothing is changed."; exit 0; }
    }
    give_up() {
      echo "$1" >&2
      exit 1
    }
    size_of() {
      if [ -b "$1" ]; then blockdev --getsize64 "$1"; else stat --format %s "$1"; fi
    }
    # The first two serve machines with a BIOS and with UEFI alike.
    layout() {
      cat <<'LAYOUT'
    label: gpt
    size=1MiB,   type=21686148-6449-6E6F-744E-656564454649, name=bios
    size=512MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=efi
                 type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=nixos
    LAYOUT
    }
    # The file is an example that can be evaluated as it is; here it gets the answers.
    fill_in() {
      sed -e "s|hostName = \"mail\"|hostName = \"''${name%%.*}\"|" \
        -e "s|networking.domain = \"example.com\"|networking.domain = \"''${name#*.}\"|" \
        -e "s|\"x86_64-linux\"|\"$(uname -m)-linux\"|" \
        -e "s|device = \"/dev/vda\"|device = \"$disk\"|" \
        -e "s|domains.\"example.com\".users.\"john\"|domains.\"$domain\".users.\"$user\"|" \
        -e "s|/etc/secrets/john|/etc/secrets/$user|" "$1"
    }
    # Partition N of a disk, by the name the kernel gives it.
    part() {
      case $disk in *[0-9]) echo "''${disk}p$1" ;; *) echo "$disk$1" ;; esac
    }

    echo "Disks of this machine:"
    lsblk --nodeps --paths --output NAME,SIZE,MODEL --exclude 1,7,11 || true
    ask "Which disk" disk
    { [ -b "$disk" ] || [ -f "$disk" ]; } || give_up "$disk is no disk."
    if [ -b "$disk" ] && lsblk --noheadings --output MOUNTPOINTS "$disk" | grep -q .; then
      give_up "$disk is in use: this image may have been started from it."
    fi
    bytes=$(size_of "$disk")
    [ "$bytes" -ge "$smallest" ] || give_up "$disk is too small: 8 GiB are the least."

    ask "Name of this server (such as mail.example.com)" name
    [[ $name =~ ^[a-z0-9-]+(\.[a-z0-9-]+)+$ ]] || give_up "$name is no name of a host: lower case, with its domain."
    ask "Domain of the mail addresses (such as example.com)" domain
    [[ $domain =~ ^[a-z0-9-]+(\.[a-z0-9-]+)+$ ]] || give_up "$domain is no domain: lower case."
    ask "First user (such as john, for john@$domain)" user
    [[ $user =~ ^[a-z0-9._-]+$ ]] || give_up "$user is no name of a user: lower case, without @."
    read -r -s -p "Password for $user@$domain: " word && echo
    read -r -s -p "Once more: " again && echo
    { [ -n "$word" ] && [ "$word" = "$again" ]; } || give_up "The two are not the same. Nothing is changed."

    cat <<PLAN

    This will be done:

      $disk ($((bytes / 1024 / 1024 / 1024)) GiB): EVERYTHING ON IT IS ERASED
        1    1 MiB   for machines with a BIOS
        2  512 MiB   /boot, FAT (EFI system partition)
        3  the rest  /, ext4
      NixOS with Postrider as $name, for $user@$domain, with a certificate made on the spot
      (/etc/nixos/configuration.nix says how to get a real one)

    PLAN
    ask "To go on, type the name of the disk once more" sure
    [ "$sure" = "$disk" ] || { echo "Nothing is changed."; exit 0; }

    layout | sfdisk --quiet --wipe always --wipe-partitions always "$disk"
    [ -b "$disk" ] || { echo "$disk is a file: it has its partitions now, and nothing more."; exit 0; }
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
    cp ${flake} "$target/etc/nixos/flake.nix"
    chmod 644 "$target/etc/nixos/flake.nix"

    install=(nixos-install --root "$target" --flake "$target/etc/nixos#mail")
    if [ "$prepare" = --prepare ]; then
      echo "Prepared. To install: ''${install[*]}"
      exit 0
    fi
    "''${install[@]}"
    echo "Installed. Take the image out and start the machine again."
  '';
}
