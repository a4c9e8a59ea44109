# What must answer on the network before an installation begins: without it only an empty disk would be left.
{
  lib,
  # The binary caches of the image.
  caches,
  # See `lock.nix`.
  lock,
}:
map (cache: "${lib.removeSuffix "/" cache}/nix-cache-info") (
  # Others are directories, or ask for a key.
  lib.filter (cache: builtins.match "https?://.*" cache != null) caches
)
# An image that was made of known revisions has the flakes with it. Others are looked up, and downloaded.
++ lib.optionals (lock == null) (
  lib.concatMap (
    {
      owner,
      repo,
      ref,
    }:
    let
      revision = if ref == null then "HEAD" else ref;
    in
    [
      "https://api.github.com/repos/${owner}/${repo}/commits/${revision}"
      "https://codeload.github.com/${owner}/${repo}/tar.gz/${revision}"
    ]
  ) (lib.attrValues (import ./sources.nix { inherit lib; }))
)
