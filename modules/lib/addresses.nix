# Addresses that listeners are bound to.
{ lib }:
let
  # As it stands before a port.
  bracket = address: if lib.hasInfix ":" address then "[${address}]" else address;
  hostsOf =
    listener:
    map (
      address:
      if address == "::" then
        "::1"
      else if address == "0.0.0.0" then
        "127.0.0.1"
      else
        address
    ) listener.addresses;
  hostOf = listener: lib.head (hostsOf listener);
  isWide = address: address == "::" || address == "0.0.0.0";
in
{
  inherit bracket hostsOf isWide;

  # Where to listen: the machine itself alone, and everywhere. `::` takes IPv4 too, where there is IPv6.
  ownOf = config: if config.networking.enableIPv6 then "::1" else "127.0.0.1";
  everyOf = config: if config.networking.enableIPv6 then "::" else "0.0.0.0";

  # Where this machine itself reaches a listener: its host, and that with the port.
  placeOf = listener: "${bracket (hostOf listener)}:${toString listener.port}";

  isLoopback = address: address == "::1" || lib.hasPrefix "127." address || address == "localhost";
}
