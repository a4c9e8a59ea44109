# Bans in the packet filter: banned clients do not even reach the server.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkEnableOption mkIf;
  cfg = config.services.postrider;
  protocols = import ./lib/ports.nix;
  ports = lib.concatMapStringsSep ", " (l: toString l.port) (
    lib.attrValues (lib.filterAttrs (name: l: l.enable && protocols.${name}.public) cfg.listeners)
  );
  inherit (import ./lib/hardening.nix { inherit lib; }) outbound;
  because = "it adds bans to a set of the packet filter";

  # Every role learns of every ban through the database; one passes them on, and only that one is allowed to.
  nft = pkgs.writeShellScript "postrider-nft" ''
    [ "$(${pkgs.coreutils}/bin/id -un)" = postrider-mta ] || exit 0
    exec ${pkgs.nftables}/bin/nft "$@"
  '';
in
{
  options.services.postrider.bans.nftables = mkEnableOption ''
    passing bans on to nftables, which drops packets from banned clients to the mail ports. The machine's other ports
    stay open to them, so that no administrator is locked out'';

  config = mkIf (cfg.enable && cfg.bans.nftables) {
    assertions = [
      {
        assertion = config.networking.nftables.enable;
        message = "services.postrider.bans.nftables needs nftables; set networking.nftables.enable = true.";
      }
    ];
    networking.nftables.tables.postrider = {
      family = "inet";
      content = ''
        set postrider4 {
          type ipv4_addr
          flags interval, timeout
        }
        set postrider6 {
          type ipv6_addr
          flags interval, timeout
        }
        chain banned {
          type filter hook input priority filter - 10; policy accept;
          ip saddr @postrider4 tcp dport { ${ports} } drop
          ip6 saddr @postrider6 tcp dport { ${ports} } drop
        }
      '';
    };
    services.postrider = {
      settings.guard.nftables = {
        table = "inet postrider";
        program = "${nft}";
      };
      relaxed.mta = {
        AmbientCapabilities = {
          value = "CAP_NET_ADMIN";
          inherit because;
        };
        CapabilityBoundingSet = {
          value = "CAP_NET_ADMIN";
          inherit because;
        };
        PrivateUsers = {
          value = false;
          because = "a capability of a user namespace is none for the machine's packet filter";
        };
        RestrictAddressFamilies = {
          value = (outbound because).RestrictAddressFamilies.value ++ [ "AF_NETLINK" ];
          because = "the packet filter is spoken to by netlink";
        };
      };
    };
    systemd.services.postrider-mta = {
      after = [ "nftables.service" ];
      wants = [ "nftables.service" ];
      # Reloading the firewall empties the sets: a reload of the role fills them again.
      unitConfig.ReloadPropagatedFrom = "nftables.service";
    };
  };
}
