# The alert rules and the dashboard use only metrics that the server has, and every rule fires when it should.
{ pkgs, self }:
let
  server = if pkgs.stdenv.hostPlatform.isAarch64 then "server-aarch64" else "server";
  inherit (self.nixosConfigurations.${server}.config.services.postrider) monitoring;
  # nixpkgs before 2022 have it in the package itself.
  promtool = pkgs.prometheus.cli or pkgs.prometheus;
in
pkgs.runCommand "monitoring" { nativeBuildInputs = [ promtool ]; } ''
  grep -oE '^(\||-) `postrider_[a-z_]*`' ${../../docs/metrics.md} | tr -d '|` -' | sort -u > known
  cat ${monitoring.alertRules} ${monitoring.dashboard}/*.json | grep -o 'postrider_[a-z_]*' | sort -u > used
  test "$(wc -l < used)" -ge 10
  if comm -13 known used | grep .; then
    echo "these figures are in a rule or on the dashboard and not in docs/metrics.md" >&2
    exit 1
  fi
  cp ${monitoring.alertRules} alerts.json
  cp ${./alerts.yml} alerts.yml
  promtool test rules alerts.yml
  cp used $out
''
