# Types that catch a mistake where it is written.
{ lib }:
let
  inherit (lib)
    mkOptionType
    types
    ;

  atom = "[A-Za-z0-9!#$%&'*/=?^_`{|}~-]+";
  label = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?";
  domainPattern = "(${label}\\.)+${label}";
  # The + is left out on purpose: `name+tag` belongs to `name`.
  localPattern = "${atom}(\\.${atom})*";

  matching =
    name: description: pattern:
    mkOptionType {
      inherit name description;
      descriptionClass = "noun";
      check = value: lib.isString value && builtins.match pattern value != null;
      merge = lib.mergeEqualOption;
    };
in
{
  # A domain in lower case; write international names as A-labels (xn--…).
  domain = matching "domain" "domain in lower case, such as \"example.com\"" domainPattern;

  # The part before the @, without a +tag.
  localPart = matching "localPart" "local part of an address, such as \"john\"" localPattern;

  # A complete address.
  address =
    matching "address" "mail address, such as \"john@example.com\""
      "${atom}([.+]${atom})*@${domainPattern}";

  # Where packets may come from; a name would not be looked up when the packets arrive.
  network =
    matching "network" "address or network, such as \"192.0.2.1\" or \"2001:db8::/32\""
      "[0-9A-Fa-f.:]+(/[0-9]+)?";

  # A quota or size as on the command line and in the configuration file, except bare numbers: a forgotten unit would be a
  # quota of a few octets.
  size =
    matching "size" "size with a unit, such as \"5G\", \"1.5G\" or \"500M\""
      "(0*[1-9][0-9]*(\\.[0-9]{1,3})?|0+\\.[0-9]{0,2}[1-9][0-9]{0,2}) *[KMGTkmgt]([Ii]?[Bb])?";

  # A size that systemd reads, too.
  wholeSize =
    matching "wholeSize" "whole number with a unit, such as \"5G\" or \"500M\""
      "[1-9][0-9]*[KMGT]";

  # A span of time as in the configuration file.
  span =
    matching "span" "span of time, such as \"30s\", \"5m\", \"4h\" or \"5d\""
      "([0-9]+(ms|s|m|h|d|w))+";

  # Recipients of backups. A secret key in place of the public one would be in the store.
  ageRecipient =
    matching "ageRecipient" "recipient of age, such as \"age1…\", or public SSH key"
      "age1[a-z0-9]+|ssh-(ed25519|rsa) .+";

  # The path of a file that holds a secret. A path literal would be copied into the store, which everybody on the
  # machine can read, and so would the secret itself written as a text.
  secretFile = types.externalPath // {
    description = "absolute path of a file outside the Nix store, as a text such as \"/run/secrets/name\"";
  };

  # A directory of the target machine. A path literal would be copied into the store, and would mean the copy.
  directory = types.externalPath // {
    description = "absolute path of a directory outside the Nix store, as a text such as \"/srv/mail\"";
  };

  inherit
    domainPattern
    localPattern
    ;
}
