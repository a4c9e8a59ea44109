# Which protocols are served, on which addresses and ports.
{
  config,
  lib,
  options,
  ...
}:
let
  inherit (lib)
    mapAttrs
    mapAttrsToList
    mkIf
    mkOption
    types
    ;
  cfg = config.services.postrider;
  protocols = import ./lib/ports.nix;
  enabled = lib.filterAttrs (_: listener: listener.enable) cfg.listeners;
  others = map (name: "services.${name}") (
    lib.filter runs [
      "dovecot"
      "dovecot2"
      "exim"
      "maddy"
      "opensmtpd"
      "postfix"
      "stalwart"
      "stalwart-mail"
    ]
  );
  # Names differ between releases, and reading an old one would cause a warning.
  runs =
    name:
    let
      option = options.services.${name}.enable or { visible = false; };
    in
    (option.visible or true) != false && config.services.${name}.enable;

  bindOf = listener: map (address: "${bracket address}:${toString listener.port}") listener.addresses;
  inherit (import ./lib/addresses.nix { inherit lib; }) bracket everyOf ownOf;
  inherit (import ./lib/pages.nix config) roleOf;

  listenerOption =
    _: protocol:
    mkOption {
      default = { };
      example = {
        enable = true;
        addresses = [ "192.0.2.1" ];
      };
      description = "Listener for ${protocol.description}.";
      type = types.submodule {
        options = {
          enable = mkOption {
            type = types.bool;
            default = protocol.byDefault;
            example = true;
            description = "Whether to serve ${protocol.description}.";
          };
          port = mkOption {
            type = types.port;
            default = protocol.port;
            example = protocol.port + 10000;
            description = "TCP port.";
          };
          addresses = mkOption {
            type = types.nonEmptyListOf types.str;
            default = [ ((if protocol.public then everyOf else ownOf) config) ];
            defaultText = lib.literalMD ''`[ "${if protocol.public then "::" else "::1"}" ]`, or `[ "${
              if protocol.public then "0.0.0.0" else "127.0.0.1"
            }" ]` without `networking.enableIPv6`'';
            example = [
              "192.0.2.1"
              "2001:db8::1"
            ];
            description = ''
              Addresses to listen on. `::` includes IPv4.${
                lib.optionalString (
                  !protocol.public
                ) " Any address but loopback exposes the page to the network; put a reverse proxy in front instead."
              }
            '';
          };
        };
      };
    };
in
{
  options.services.postrider.listeners = mapAttrs listenerOption protocols;

  config = mkIf cfg.enable {
    assertions =
      let
        served =
          lib.mapAttrs (_: listener: listener.port) enabled
          // lib.optionalAttrs cfg.cluster.enable { cluster = cfg.cluster.port; };
        ports = lib.attrValues served;
        isIpv4 = address: !lib.hasInfix ":" address;
        takesAll =
          addresses:
          (lib.elem "::" addresses && lib.length addresses > 1)
          || (lib.elem "0.0.0.0" addresses && lib.length (lib.filter isIpv4 addresses) > 1);
        overlapping = lib.attrNames (lib.filterAttrs (_: listener: takesAll listener.addresses) enabled);
      in
      [
        {
          assertion = lib.length ports == lib.length (lib.unique ports);
          message = "services.postrider.listeners: two protocols have the same port; give each its own (${
            lib.concatStringsSep ", " (mapAttrsToList (name: port: "${name} ${toString port}") served)
          }).";
        }
        {
          assertion = overlapping == [ ];
          message = "services.postrider.listeners: ${lib.concatStringsSep ", " overlapping}: `::` covers every address, including IPv4, and `0.0.0.0` every IPv4 address; remove the others.";
        }
        {
          assertion = others == [ ];
          message = "services.postrider replaces ${lib.concatStringsSep ", " others}, which would use the same ports: set enable = false there.";
        }
      ];

    services.postrider.settings.listener =
      mapAttrsToList (
        protocol: listener:
        {
          inherit protocol;
          bind = bindOf listener;
        }
        // lib.optionalAttrs (roleOf protocol != protocols.${protocol}.role) {
          role = roleOf protocol;
        }
        // lib.optionalAttrs (cfg.cluster.balancers != [ ] && protocols.${protocol}.public) {
          proxies = cfg.cluster.balancers;
        }
      ) enabled
      ++ [
        {
          protocol = "lmtp";
          bind = [ "unix:/run/postrider/lmtp.sock" ];
        }
      ];
  };
}
