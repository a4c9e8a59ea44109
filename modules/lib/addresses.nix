# Addresses that listeners are bound to.
{ lib }:
let
  # As it stands before a port.
  bracket = address: if lib.hasInfix ":" address then "[${address}]" else address;
  hostOf =
    listener:
    let
      first = lib.head listener.addresses;
    in
    if first == "::" then
      "::1"
    else if first == "0.0.0.0" then
      "127.0.0.1"
    else
      first;
  isWide = address: address == "::" || address == "0.0.0.0";
in
{
  inherit bracket hostOf isWide;

  # Where this machine itself reaches a listener: its host, and that with the port.
  placeOf = listener: "${bracket (hostOf listener)}:${toString listener.port}";

  isLoopback = address: address == "::1" || lib.hasPrefix "127." address || address == "localhost";
}
