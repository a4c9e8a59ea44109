# The manual pages and completions that the package takes from its program are there, by its own steps: only what puts them
# into their places is played here.
{ pkgs }:
pkgs.runCommand "package-extras" { inherit (pkgs.postrider) postInstall; } ''
  wanted() {
    for file in "$@"; do
      [ -s "$file" ] || [ -p "$file" ] || { echo "$file is not there or empty" >&2; exit 1; }
    done
  }
  installManPage() { wanted "$@"; cp "$@" "$pages"; }
  installShellCompletion() {
    while [ $# != 0 ]; do
      case $1 in
        --cmd) shift 2 ;;
        --*) cat "$2" > "$pages/''${1#--}"; wanted "$pages/''${1#--}"; shift 2 ;;
      esac
    done
  }
  pages=$(mktemp -d)
  out=${pkgs.postrider}
  eval "$postInstall"
  wanted "$pages/postrider.1" "$pages/bash" "$pages/fish" "$pages/zsh"
  mkdir "${placeholder "out"}"
  cp "$pages"/* "${placeholder "out"}/"
''
