# The records of one domain, as far as they follow from what is declared: keys and addresses are not known here.
# `postrider dns` prints the same and those; tests/it/host/records.rs compares the two. Needs nothing but Nix itself.
{
  hostname,
  domain,
  # The routes of outgoing mail: `settings.outbound.routes`.
  routes ? [ ],
  # The ports of the listeners that are enabled, by name.
  ports,
  # Where calendars and contacts are reached over TLS, if at all.
  davPort ? null,
  # Where mail programs find their settings, without the domain.
  autoconfig ? [ ],
  # The MTA-STS policy that is served for the domain, if any.
  policy ? null,
}:
let
  record = name: type: value: { inherit name type value; };
  service =
    label: protocol:
    if ports ? ${protocol} then
      [ (record "_${label}._tcp.${domain}." "SRV" "0 1 ${toString ports.${protocol}} ${hostname}.") ]
    else
      [ ];
  # RFC 8461 §3.1: another policy has another id. The server computes the same, of lines that end as it writes them.
  id = builtins.substring 0 20 (
    builtins.hashString "sha256" (builtins.replaceStrings [ "\n" ] [ "\r\n" ] policy)
  );
in
[
  (record "${domain}." "MX" "10 ${hostname}.")
  (record "${domain}." "TXT" (import ./spf.nix routes "mx"))
  (record "_dmarc.${domain}." "TXT" "v=DMARC1; p=quarantine; rua=mailto:postmaster@${domain}")
  (record "_smtp._tls.${domain}." "TXT" "v=TLSRPTv1; rua=mailto:postmaster@${domain}")
]
# RFC 6186 and RFC 8314 §5.1: where mail programs find the servers by themselves.
++ builtins.concatMap (label: service label label) [
  "imaps"
  "submissions"
  "submission"
  "pop3s"
]
# RFC 5804 §1.8.
++ service "sieve" "managesieve"
# RFC 6764 §3.
++ (
  if davPort == null then
    [ ]
  else
    map (label: record "_${label}._tcp.${domain}." "SRV" "0 1 ${toString davPort} ${hostname}.") [
      "caldavs"
      "carddavs"
    ]
)
++ map (label: record "${label}.${domain}." "CNAME" "${hostname}.") autoconfig
++ (
  if policy == null then
    [ ]
  else
    [
      (record "mta-sts.${domain}." "CNAME" "${hostname}.")
      (record "_mta-sts.${domain}." "TXT" "v=STSv1; id=${id};")
    ]
)
