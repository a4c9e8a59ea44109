# Whether an MTA-STS policy is served for the domains: by the server itself, or by nginx in front of it.
{ lib }:
lib.mkOption {
  type = lib.types.nullOr (
    lib.types.enum [
      "enforce"
      "testing"
    ]
  );
  default = null;
  example = "testing";
  description = ''
    Whether to serve a policy (MTA-STS) at `mta-sts.<domain>` that tells other servers to insist on TLS and a valid
    certificate. Begin with `testing`, and publish `dns.records` with it.
  '';
}
