# Before it erases a disk, an installation looks for the binary caches, and for the flakes if the image does not have them.
{
  module.services.postrider.domains."example.test".users.ann = { };
  holds =
    { lib, ... }:
    let
      downloads =
        lock:
        import ../../hosts/iso/downloads.nix {
          inherit lib lock;
          caches = [
            "https://cache.example.com/nix"
            "https://cache.nixos.org/"
            "/mnt/store"
            "s3://bucket"
          ];
        };
      fromCaches = [
        "https://cache.example.com/nix/nix-cache-info"
        "https://cache.nixos.org/nix-cache-info"
      ];
      flakes = [
        "https://api.github.com/repos/NixOS/nixpkgs/commits/nixos-26.05"
        "https://codeload.github.com/NixOS/nixpkgs/tar.gz/nixos-26.05"
        "https://api.github.com/repos/postrider/postrider/commits/HEAD"
        "https://codeload.github.com/postrider/postrider/tar.gz/HEAD"
      ];
    in
    [
      (downloads "/nix/store/flake.lock" == fromCaches)
      (downloads null == fromCaches ++ flakes)
    ];
}
