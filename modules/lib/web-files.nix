# Files that mail programs and other servers fetch over HTTPS.
{ lib }:
let
  # Mozilla's format, version 1.1.
  server =
    cfg:
    {
      element,
      kind,
      listener,
      socket,
    }:
    lib.optionalString cfg.listeners.${listener}.enable ''
      <${element} type="${kind}">
        <hostname>${cfg.hostname}</hostname>
        <port>${toString cfg.listeners.${listener}.port}</port>
        <socketType>${socket}</socketType>
        <username>%EMAILADDRESS%</username>
        <authentication>password-cleartext</authentication>
      </${element}>
    '';
  incoming = kind: listener: socket: {
    element = "incomingServer";
    inherit kind listener socket;
  };
  outgoing = listener: socket: {
    element = "outgoingServer";
    kind = "smtp";
    inherit listener socket;
  };
in
{
  # The first server of each kind is the one a program takes: TLS from the start (RFC 8314 §3).
  autoconfig = cfg: domain: ''
    <?xml version="1.0" encoding="UTF-8"?>
    <clientConfig version="1.1">
    <emailProvider id="${domain}">
    <domain>${domain}</domain>
    <displayName>${domain}</displayName>
    <displayShortName>${domain}</displayShortName>
    ${
      lib.concatMapStrings (server cfg) [
        (incoming "imap" "imaps" "SSL")
        (incoming "imap" "imap" "STARTTLS")
        (incoming "pop3" "pop3s" "SSL")
        (incoming "pop3" "pop3" "STARTTLS")
        (outgoing "submissions" "SSL")
        (outgoing "submission" "STARTTLS")
      ]
    }</emailProvider>
    </clientConfig>
  '';

  # RFC 8461 §3.2
  mtaSts = hostname: mode: ''
    version: STSv1
    mode: ${mode}
    mx: ${hostname}
    max_age: 604800
  '';
}
